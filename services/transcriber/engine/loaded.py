"""Whisper as the job names it: the default model, there from the start, or another one that the service offers.

When not even one chunk fits into what memory is left, all models that nobody uses go, and the same model is loaded in a form that takes
less, for this hearing alone: the next one begins with the full form again.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import msgspec

from common.errors import PermanentError
from common.transcript import Note
from services.transcriber.engine import failures
from services.transcriber.engine.engine import Recogniser
from services.transcriber.engine.heard import Heard
from services.transcriber.engine.recording import Task
from services.transcriber.engine.shelf import Name, Shelf

log = logging.getLogger(__name__)


class Loaded(NamedTuple):
    """`label` is what transcripts call it."""

    label: str
    recogniser: Recogniser


class Rung(NamedTuple):
    """A way to load a model that takes less memory than the one before; `note` tells the job's owner of it."""

    note: Note
    load: Callable[[str], Loaded]


class LoadedModels:
    """A recogniser that has the model which the job names, on the `shelf` or from there on."""

    def __init__(
        self,
        shelf: Shelf,
        load: Callable[[str], Loaded],
        *,
        default: str,
        offered: Collection[str] = (),
        ladder: Sequence[Rung] = (),
    ) -> None:
        self._shelf, self._load, self._default, self._offered, self._ladder = shelf, load, default, {default, *offered}, ladder
        with self._shelf.use(_name(default), lambda: load(default)):
            pass

    def hear(self, tasks: Sequence[Task], batch_size: int) -> list[Heard]:
        """All `tasks` name the same model. Raises `PermanentError` `model_not_offered`, and what loading and hearing raise."""
        name = tasks[0].options.model or self._default
        if name not in self._offered:
            message = f"This worker does not offer the model {name!r}; it offers {', '.join(sorted(self._offered))}."
            raise PermanentError("model_not_offered", message)
        try:
            return self._hear(name, tasks, batch_size)
        except Exception as error:
            if not self._ladder or not failures.out_of_memory(error):
                raise
            log.warning("memory does not do for %s: %s", name, error)
        # The failed attempt's tensors are free from here on, as its frames are gone; with the models, all that can be had is.
        self._shelf.clear()
        return self._hear_with_less(name, tasks, batch_size)

    def _hear(self, name: str, tasks: Sequence[Task], batch_size: int) -> list[Heard]:
        with self._shelf.use(_name(name), lambda: self._load(name)) as model:
            found = model.recogniser.hear(tasks, batch_size)
        return found if name == self._default else [msgspec.structs.replace(heard, model=model.label) for heard in found]

    def _hear_with_less(self, name: str, tasks: Sequence[Task], batch_size: int) -> list[Heard]:
        """Rung by rung; raises what the last one does."""
        notes: tuple[Note, ...] = ()
        for rung in self._ladder[:-1]:
            notes = (*notes, rung.note)
            try:
                return _noted(rung.load(name), tasks, batch_size, notes)
            except Exception as error:
                if not failures.out_of_memory(error):
                    raise
                log.warning("memory does not do for %s either (%s): %s", name, rung.note.code, error)
        last = self._ladder[-1]
        return _noted(last.load(name), tasks, batch_size, (*notes, last.note))


def _name(model: str) -> Name:
    return Name("whisper", model)


def _noted(model: Loaded, tasks: Sequence[Task], batch_size: int, notes: tuple[Note, ...]) -> list[Heard]:
    found = model.recogniser.hear(tasks, batch_size)
    return [msgspec.structs.replace(heard, model=model.label, notes=(*notes, *heard.notes)) for heard in found]
