"""Batches grow while that pays and memory allows, each window by itself."""

import pytest

from services.transcriber.engine.widths import Widths

GIB = 2**30


class Gpu:
    """A device that hears `rates[width]` chunks a second and keeps `each` bytes for every chunk of its widest batch so far."""

    def __init__(self, rates: dict[int, float], each: int = 0, memory: int = 80 * GIB) -> None:
        self.rates, self._each, self._memory, self._widest = rates, each, memory, 0

    def free(self) -> int:
        return self._memory - self._each * self._widest

    def hear(self, widths: Widths, *, batches: int, window: int = 30) -> int:
        """The width that is asked for after so many batches."""
        for _ in range(batches):
            width = widths.of(window, 16)
            self._widest = max(self._widest, width)
            widths.worked(window, width, width / self.rates[width])
        return widths.of(window, 16)


@pytest.mark.parametrize(
    ("rates", "kept"),
    [
        ({16: 10, 32: 18, 64: 30, 128: 50}, 128),
        ({16: 10, 32: 18, 64: 18.5}, 32),
        ({16: 10, 32: 9}, 16),
    ],
)
def test_batches_grow_while_that_pays(rates: dict[int, float], kept: int) -> None:
    """Doubled while more is heard in the same time, up to the widest; else the better width stays."""
    gpu = Gpu(rates)
    assert gpu.hear(Widths(128, gpu.free), batches=20) == kept


def test_memory_bounds_the_width() -> None:
    """Nothing is tried that would take more than is free, by what the last width took."""
    gpu = Gpu({16: 10, 32: 18, 64: 30, 128: 50}, each=GIB)
    assert gpu.hear(Widths(128, gpu.free), batches=20) == 32  # 48 GiB are free then, and 64 chunks would take 64


def test_a_width_that_ran_out_of_memory_is_not_asked_for_again() -> None:
    """What went through is kept from then on."""
    gpu = Gpu({16: 10, 32: 18, 64: 30})
    widths = Widths(128, gpu.free)
    assert gpu.hear(widths, batches=4) == 64
    widths.short(30, 32)
    assert gpu.hear(widths, batches=4) == 32


def test_windows_are_told_apart_and_rests_tell_nothing() -> None:
    """A batch that is not full says nothing of the width, and one window's width is not another's."""
    gpu = Gpu({16: 10, 32: 18})
    widths = Widths(32, gpu.free)
    assert widths.of(12, 16) == 16
    for _ in range(5):
        widths.worked(12, 3, 0.1)
    assert widths.of(12, 16) == 16
    assert gpu.hear(widths, batches=6) == 32
    assert widths.of(12, 16) == 16


def test_a_width_that_is_given_stays() -> None:
    """On a CPU, and where `WHISPER_BATCH_SIZE` is set, nothing is tried."""
    widths = Widths(4, lambda: 0)
    assert widths.of(30, 4) == 4
    widths.worked(30, 4, 1.0)
    widths.short(30, 2)
    assert widths.of(30, 4) == 4
