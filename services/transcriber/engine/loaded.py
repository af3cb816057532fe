"""Models in memory: the default one from the start, others that the service offers when a job first asks for them.

Where memory is bounded the least recently used goes, and none is kept that has idled for longer than asked. Whatever is gone, the default
model included, is loaded again when it is next wanted.

When not even one chunk fits into what memory is left, all models go, and the same model is loaded in a form that takes less, for this
hearing alone: the next one finds nothing in memory and begins with the full form again.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import msgspec

from common.errors import PermanentError
from common.transcript import Note
from services.transcriber.engine import failures
from services.transcriber.engine.engine import Recogniser
from services.transcriber.engine.heard import Heard
from services.transcriber.engine.recording import Task

log = logging.getLogger(__name__)


class Loaded(NamedTuple):
    """`label` is what transcripts call it; `size` in bytes is what memory grew by."""

    label: str
    recogniser: Recogniser
    size: int = 0


class Rung(NamedTuple):
    """A way to load a model that takes less memory than the one before; `note` tells the job's owner of it."""

    note: Note
    load: Callable[[str], Loaded]


class LoadedModels:
    """A recogniser that has the model which the job names. `budget` in bytes; `used` measures what loading changes."""

    def __init__(
        self,
        load: Callable[[str], Loaded],
        *,
        default: str,
        offered: Collection[str] = (),
        ladder: Sequence[Rung] = (),
        budget: int | None = None,
        used: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load, self._default, self._offered = load, default, {default, *offered}
        self._ladder, self._budget, self._used, self._clock = ladder, budget, used, clock
        self._lock = threading.Lock()
        self._held: OrderedDict[str, Loaded] = OrderedDict()
        self._used_at: dict[str, float] = {}
        with self._lock:
            self._take(default)

    def hear(self, tasks: Sequence[Task], batch_size: int) -> list[Heard]:
        """All `tasks` name the same model. Raises `PermanentError` `model_not_offered`, and what loading and hearing raise."""
        name = tasks[0].options.model or self._default
        if name not in self._offered:
            message = f"This worker does not offer the model {name!r}; it offers {', '.join(sorted(self._offered))}."
            raise PermanentError("model_not_offered", message)
        with self._lock:
            try:
                return self._hear(name, tasks, batch_size)
            except Exception as error:
                if not self._ladder or not failures.out_of_memory(error):
                    raise
                log.warning("memory does not do for %s: %s", name, error)
            # The failed attempt's tensors are free from here on, as its frames are gone; with the models, all that can be had is.
            for held in self.names:
                self._drop(held, "memory")
            return self._hear_with_less(name, tasks, batch_size)

    @property
    def names(self) -> list[str]:
        """In memory now, the least recently used first."""
        return list(self._held)

    def unload_idle(self, seconds: float) -> None:
        """Let go of what nobody has used for so long."""
        with self._lock:
            for name in [name for name in self._held if self._clock() - self._used_at[name] >= seconds]:
                self._drop(name, "idle")

    def unload_when_idle(self, seconds: float) -> None:
        """Do so by itself, for as long as the process lives."""

        def watch() -> None:
            while True:
                time.sleep(seconds / 4)
                self.unload_idle(seconds)

        threading.Thread(target=watch, name="idle-models", daemon=True).start()

    def _hear(self, name: str, tasks: Sequence[Task], batch_size: int) -> list[Heard]:
        model = self._take(name)
        try:
            found = model.recogniser.hear(tasks, batch_size)
        finally:
            self._used_at[name] = self._clock()
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

    def _take(self, name: str) -> Loaded:
        if name not in self._held:
            self._make_room(keep=0)
            before = self._used()
            loaded = self._load(name)
            self._held[name] = loaded._replace(size=max(0, self._used() - before))
            self._used_at[name] = self._clock()
            self._make_room(keep=1)
        self._held.move_to_end(name)
        return self._held[name]

    def _make_room(self, keep: int) -> None:
        """With `keep` 0 for a model to come, which is taken to be as large as the largest; a single one is kept whatever its size."""
        if self._budget is None:
            return
        coming = 0 if keep else max((each.size for each in self._held.values()), default=0)
        while len(self._held) > keep and sum(each.size for each in self._held.values()) + coming > self._budget:
            self._drop(next(iter(self._held)), "memory")

    def _drop(self, name: str, reason: str) -> None:
        log.info("unloading %s (%s)", name, reason)
        del self._held[name], self._used_at[name]


def _noted(model: Loaded, tasks: Sequence[Task], batch_size: int, notes: tuple[Note, ...]) -> list[Heard]:
    found = model.recogniser.hear(tasks, batch_size)
    return [msgspec.structs.replace(heard, model=model.label, notes=(*notes, *heard.notes)) for heard in found]
