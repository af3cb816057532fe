"""Which model hears, and in which form."""

from collections.abc import Sequence

import numpy as np
import pytest

from common.errors import PermanentError
from common.transcript import Note
from services.transcriber.engine.heard import Heard
from services.transcriber.engine.loaded import Loaded, LoadedModels, Rung
from services.transcriber.engine.recording import Task
from services.transcriber.engine.shelf import Shelf
from services.transcriber.protocol import Options


class Named:
    """Hears its own name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def hear(self, tasks: Sequence[Task], batch_size: int) -> list[Heard]:  # noqa: ARG002 - the interface
        return [Heard((), self.name, 1.0) for _ in tasks]


class Offer:
    """Three models, on a shelf of their own."""

    def __init__(self) -> None:
        self.loads: list[str] = []
        self.shelf = Shelf()
        self.models = LoadedModels(self.shelf, self.load, default="base", offered=("small", "large"))

    def load(self, name: str) -> Loaded:
        self.loads.append(name)
        return Loaded(f"whisper {name}", Named(name))

    def hear(self, model: str | None) -> Heard:
        [heard] = self.models.hear([Task(np.zeros(1, np.int16), (), Options(model=model), lambda _fraction: None)], 4)
        return heard


def test_a_job_is_heard_by_the_model_it_names() -> None:
    """The default model is there from the start; another is loaded once, and the transcript says whose it is."""
    offer = Offer()
    assert offer.loads == ["base"]
    assert (offer.hear(None).language, offer.hear("base").model) == ("base", None)
    assert (offer.hear("small").language, offer.hear("small").model) == ("small", "whisper small")
    assert offer.loads == ["base", "small"]


def test_what_is_not_offered_is_refused() -> None:
    """By name, saying what there is."""
    with pytest.raises(PermanentError, match="base, large, small"):
        Offer().hear("enormous")


def test_one_that_was_unloaded_is_loaded_again() -> None:
    """The default one too."""
    offer = Offer()
    offer.shelf.clear()
    assert offer.hear(None).language == "base"
    assert offer.loads == ["base", "base"]


SMALLER, ON_CPU = Note("smaller_compute_type", "Coarser."), Note("on_cpu", "Slower.")
FULL = RuntimeError("CUDA failed with error out of memory")


class Form(Named):
    """A model in one of its forms, which takes `size`, and hears only while there is as much room."""

    def __init__(self, machine: "Machine", name: str, size: int) -> None:
        super().__init__(name)
        self.machine, self.size = machine, size

    def hear(self, tasks: Sequence[Task], batch_size: int) -> list[Heard]:
        self.machine.heard_by.append(self.name)
        if self.size > self.machine.room:
            raise self.machine.error
        return super().hear(tasks, batch_size)


class Machine:
    """Has room for forms of a model up to some size; the full one takes 3, the coarse one 2, the one on the CPU 1."""

    def __init__(self, room: int, error: Exception = FULL) -> None:
        self.room, self.error = room, error
        self.heard_by: list[str] = []
        coarse, on_cpu = Rung(SMALLER, lambda _name: self.form("coarse", 2)), Rung(ON_CPU, lambda _name: self.form("cpu", 1))
        self.shelf = Shelf()
        self.models = LoadedModels(self.shelf, lambda name: self.form(name, 3), default="full", ladder=(coarse, on_cpu))

    def form(self, name: str, size: int) -> Loaded:
        return Loaded(f"whisper {name}", Form(self, name, size))

    def hear(self) -> Heard:
        [heard] = self.models.hear([Task(np.zeros(1, np.int16), (), Options(), lambda _fraction: None)], 4)
        return heard


@pytest.mark.parametrize(
    ("room", "by", "notes"), [(3, None, ()), (2, "whisper coarse", (SMALLER,)), (1, "whisper cpu", (SMALLER, ON_CPU))], ids=str
)
def test_where_memory_does_not_do_a_smaller_form_hears(room: int, by: str | None, notes: tuple[Note, ...]) -> None:
    """Step by step, and each step is said."""
    heard = Machine(room).hear()
    assert (heard.model, heard.notes) == (by, notes)


def test_the_next_hearing_begins_with_the_full_form() -> None:
    """What took the memory is most often gone by then. Meanwhile nothing is kept: the smaller form had all there was."""
    machine = Machine(room=2)
    machine.hear()
    assert machine.shelf.names == []
    machine.room = 3
    assert (machine.hear().model, machine.heard_by) == (None, ["full", "coarse", "full"])


@pytest.mark.parametrize(
    ("error", "tried"),
    [(FULL, ["full", "coarse", "cpu"]), (PermanentError("cancelled", "Nobody waits."), ["full"]), (RuntimeError("CUDA error"), ["full"])],
    ids=["memory", "cancelled", "device"],
)
def test_what_a_smaller_form_cannot_help_is_raised(error: Exception, tried: list[str]) -> None:
    """And memory too, when the last rung does not do."""
    machine = Machine(0, error)
    with pytest.raises(type(error)):
        machine.hear()
    assert machine.heard_by == tried
