"""Which models are in memory, whatever they are for."""

import threading
import time
from pathlib import Path

import pytest

from services.transcriber.engine.__main__ import shelf_for
from services.transcriber.engine.settings import EngineSettings
from services.transcriber.engine.shelf import Name, Shelf

SECONDS = 60
SIZES = {"base": 100, "small": 100, "large": 250, "aligner": 20}


class Machine:
    """Models take so many bytes as `SIZES` says; what is in memory, and the clock, are what the test says."""

    def __init__(self, budget: int | None = None) -> None:
        self.loads: list[str] = []
        self.now, self.grown, self.released = 0.0, 0, 0
        self.shelf = Shelf(budget=budget, used=lambda: self.grown, release=self.release, clock=lambda: self.now)

    def load(self, model: str) -> str:
        self.loads.append(model)
        self.grown += SIZES[model]
        return model

    def release(self) -> None:
        self.released += 1

    def use(self, model: str) -> None:
        with self.shelf.use(name(model), lambda: self.load(model)) as found:
            assert found == model

    def names(self) -> list[str]:
        return [each.model for each in self.shelf.names]


def name(model: str) -> Name:
    return Name("aligner" if model == "aligner" else "whisper", model)


def test_a_model_is_loaded_once() -> None:
    """When it is first wanted."""
    machine = Machine()
    for model in ("base", "small", "base"):
        machine.use(model)
    assert (machine.loads, machine.names()) == (["base", "small"], ["small", "base"])


def test_the_least_recently_used_goes() -> None:
    """When memory for models is used up, whatever they are for; each is loaded again when it is wanted again."""
    machine = Machine(budget=380)
    for model in ("base", "aligner", "small", "base", "large"):
        machine.use(model)
    assert machine.names() == ["base", "large"]
    assert machine.released
    machine.use("small")
    assert machine.loads == ["base", "aligner", "small", "large", "small"]


def test_a_small_model_of_another_kind_drives_nothing_out() -> None:
    """It is not taken to be as large as those that are there; one that was there before is as large as it was."""
    machine = Machine(budget=130)
    for model in ("base", "aligner", "small", "aligner"):
        machine.use(model)
    assert machine.loads == ["base", "aligner", "small"]
    assert machine.names() == ["small", "aligner"]


def test_what_is_in_use_stays() -> None:
    """Neither time nor a budget that nothing fits into takes a model from under somebody's hands."""
    machine = Machine(budget=10)
    with machine.shelf.use(name("base"), lambda: machine.load("base")):
        machine.use("large")
        machine.now = 100.0
        machine.shelf.unload_idle(1.0)
        machine.shelf.clear()
        assert machine.names() == ["base"]
        machine.use("base")
    machine.shelf.unload_idle(1.0)
    assert machine.names() == ["base"], "it has been idle from now on"
    machine.shelf.clear()
    assert machine.names() == []


def test_idle_models_are_unloaded() -> None:
    """Counted from the end of each one's last use."""
    machine = Machine()
    machine.use("base")
    machine.now = 50.0
    machine.use("aligner")
    machine.now = 100.0
    machine.shelf.unload_idle(60.0)
    assert machine.names() == ["aligner"]
    machine.shelf.unload_idle(50.0)
    assert machine.names() == []
    machine.use("base")
    assert machine.loads == ["base", "aligner", "base"]


def test_they_go_by_themselves() -> None:
    """Nobody has to ask: where the settings say after how long, there is a thread that looks."""
    shelf = shelf_for(EngineSettings(model_idle_seconds=0.05), "cpu")
    with shelf.use(name("base"), lambda: "base"):
        pass
    deadline = time.monotonic() + SECONDS
    while shelf.names:
        assert time.monotonic() < deadline, "nobody looked"
        time.sleep(0.01)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="what this process takes cannot be told here")
def test_the_settings_bound_them() -> None:
    """By what this process takes more while they are loaded."""
    shelf = shelf_for(EngineSettings(models_memory_mb=100), "cpu")
    for model in ("base", "small", "large"):
        with shelf.use(name(model), lambda: b"x" * 95 * 2**20):
            pass
    assert shelf.names == [name("large")]


def test_a_model_that_cannot_be_loaded_leaves_nothing() -> None:
    """Whoever wants it next tries again."""
    machine = Machine()
    for _ in range(2):
        with pytest.raises(KeyError):
            machine.use("missing")
    assert (machine.loads, machine.names()) == (["missing", "missing"], [])


def test_two_who_want_the_same_model_share_it() -> None:
    """The second waits for the first to load it; whoever wants another one does not."""
    machine, loading, proceed = Machine(), threading.Event(), threading.Event()

    def slowly() -> str:
        loading.set()
        proceed.wait(SECONDS)
        return machine.load("large")

    def take() -> None:
        with machine.shelf.use(name("large"), slowly):
            pass

    both = [threading.Thread(target=take) for _ in range(2)]
    for thread in both:
        thread.start()
    assert loading.wait(SECONDS)
    machine.use("base")
    proceed.set()
    for thread in both:
        thread.join(SECONDS)
    assert machine.loads == ["base", "large"]
