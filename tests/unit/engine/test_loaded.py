"""Which models are in memory."""

from collections.abc import Sequence

import numpy as np
import pytest

from common.errors import PermanentError
from common.transcript import Note
from services.transcriber.engine.heard import Heard
from services.transcriber.engine.loaded import Loaded, LoadedModels, Rung
from services.transcriber.engine.recording import Task
from services.transcriber.protocol import Options


class Named:
    """Hears its own name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def hear(self, tasks: Sequence[Task], batch_size: int) -> list[Heard]:  # noqa: ARG002 - the interface
        return [Heard((), self.name, 1.0) for _ in tasks]


class Shelf:
    """Models of 100 bytes each, large ones of 250; what is in memory, and the clock, are what the test says."""

    def __init__(self, budget: int | None = None) -> None:
        self.loads: list[str] = []
        self.now, self.grown = 0.0, 0
        self.models = LoadedModels(
            self.load, default="base", offered=("small", "large"), budget=budget, used=lambda: self.grown, clock=lambda: self.now
        )

    def load(self, name: str) -> Loaded:
        self.loads.append(name)
        self.grown += 250 if name == "large" else 100
        return Loaded(f"whisper {name}", Named(name))

    def hear(self, model: str | None) -> Heard:
        [heard] = self.models.hear([Task(np.zeros(1, np.int16), (), Options(model=model), lambda _fraction: None)], 4)
        return heard


def test_a_job_is_heard_by_the_model_it_names() -> None:
    """The default model is there from the start; another is loaded once, and the transcript says whose it is."""
    shelf = Shelf()
    assert shelf.loads == ["base"]
    assert (shelf.hear(None).language, shelf.hear("base").model) == ("base", None)
    assert (shelf.hear("small").language, shelf.hear("small").model) == ("small", "whisper small")
    assert shelf.loads == ["base", "small"]


def test_what_is_not_offered_is_refused() -> None:
    """By name, saying what there is."""
    with pytest.raises(PermanentError, match="base, large, small"):
        Shelf().hear("enormous")


def test_the_least_recently_used_goes() -> None:
    """When memory for models is used up; it is loaded again when it is wanted again."""
    shelf = Shelf(budget=380)
    shelf.hear("small")
    shelf.hear(None)
    shelf.hear("large")
    assert shelf.models.names == ["base", "large"]
    shelf.hear("small")
    assert shelf.loads == ["base", "small", "large", "small"]


def test_a_single_model_is_kept_whatever_its_size() -> None:
    """A budget that nothing fits into still lets jobs be done, one model at a time."""
    shelf = Shelf(budget=10)
    shelf.hear("large")
    assert shelf.models.names == ["large"]


def test_idle_models_are_unloaded() -> None:
    """Counted from each one's last use."""
    shelf = Shelf()
    shelf.now = 50.0
    shelf.hear("small")
    shelf.now = 100.0
    shelf.models.unload_idle(60.0)
    assert shelf.models.names == ["small"]
    shelf.models.unload_idle(50.0)
    assert shelf.models.names == []
    assert shelf.hear(None).language == "base"


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
        self.models = LoadedModels(lambda name: self.form(name, 3), default="full", ladder=(coarse, on_cpu))

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
    assert machine.models.names == []
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
