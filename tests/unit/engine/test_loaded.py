"""Which models are in memory."""

from collections.abc import Sequence

import numpy as np
import pytest

from common.errors import PermanentError
from services.transcriber.engine.heard import Heard
from services.transcriber.engine.loaded import Loaded, LoadedModels
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
