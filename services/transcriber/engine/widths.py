"""How many chunks are heard at once: as many as pays and as memory allows, found out while working.

A width is tried more than once, as the first batch of a new shape also pays for its preparation. It is doubled while it hears more chunks
a second than half of it did, by enough to be worth the coarser progress, and while what is free is more than what a batch of it took. Where
the next one does not pay, the better one is kept. Each window has a width of its own: a chunk of 12 s costs less than half of one of 30 s.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec


class _Trial(msgspec.Struct):
    """Of one window: the width now tried, how fast each was (chunks a second), what was free before the first."""

    width: int
    free: int
    rates: dict[int, list[float]] = msgspec.field(default_factory=lambda: defaultdict(list))
    settled: bool = False


class Widths:
    """From the first width, which is the caller's, up to `widest`. `free` gives the bytes that are free where the model is.

    A width is judged by the `rate` of its `trials`, and has to be `worth` so many times the one of half of it.
    """

    def __init__(
        self,
        widest: int,
        free: Callable[[], int],
        *,
        trials: int = 2,
        worth: float = 1.1,
        rate: Callable[[Sequence[float]], float] = max,
    ) -> None:
        self._widest, self._free = widest, free
        self._needed, self._worth, self._rate = trials, worth, rate
        self._trials: dict[int, _Trial] = {}

    def of(self, window: int, first: int) -> int:
        """How many chunks of this window to hear at once."""
        if first >= self._widest:
            return first
        if window not in self._trials:
            self._trials[window] = _Trial(first, self._free())
        return self._trials[window].width

    def worked(self, window: int, chunks: int, seconds: float) -> None:
        """A batch was heard in so many seconds; only one that was as wide as asked for tells something."""
        trial = self._trials.get(window)
        if trial is None or trial.settled or chunks != trial.width:
            return
        rates = trial.rates[trial.width]
        rates.append(chunks / max(seconds, 1e-9))
        if len(rates) >= self._needed:
            self._conclude(trial)

    def _conclude(self, trial: _Trial) -> None:
        width, half = trial.width, trial.width // 2
        if half in trial.rates and self._rate(trial.rates[width]) < self._worth * self._rate(trial.rates[half]):
            trial.width, trial.settled = half, True
            return
        free = self._free()
        if width * 2 > self._widest or free < 2 * (trial.free - free):
            trial.settled = True
        else:
            trial.width = width * 2

    def short(self, window: int, most: int) -> None:
        """Memory was short: only so many went through at once."""
        trial = self._trials.get(window)
        if trial is not None and trial.width > most:
            trial.width, trial.settled = max(1, most), True
