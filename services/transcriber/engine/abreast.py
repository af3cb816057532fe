"""How many batches are heard beside each other on a processor: as many as pays and as memory allows, found out while working.

One batch does not keep several cores busy: a search through a few readings has little to do at once, and between two networks only Python
works. So the next batches are begun before the first is done, with the same weights. How many is tried out as widths are (`widths`), by the
batches heard in the same time; since more is said in some than in others, several rounds are looked at.

What a batch comes to does not depend on who is heard beside it. Everything else, telling progress and what was heard, is done by the
caller's thread, in the batches' order.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from statistics import fmean
from typing import TypeVar

from services.transcriber.engine.widths import Widths
from services.transcriber.engine.windows import Windowed

Piece = TypeVar("Piece", bound=Windowed)
Found = TypeVar("Found")

_ROUNDS = 4
_WORTH = 1.05


class Abreast:
    """From `first` batches at once up to `most`; where that is one, nothing leaves the caller's thread. `free` as for `Widths`."""

    def __init__(self, first: int, most: int, free: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._first, self._clock = first, clock
        self._widths = Widths(most, free, trials=_ROUNDS, worth=_WORTH, rate=fmean)
        self._pool = ThreadPoolExecutor(most, "hear") if most > 1 else None

    def at_once(self, window: int) -> int:
        """How many batches of this window are heard beside each other next."""
        return self._widths.of(window, self._first)

    def work(
        self,
        batches: Iterable[Sequence[Piece]],
        hear: Callable[[Sequence[Piece]], Found],
        heard: Callable[[Sequence[Piece], Found], None],
    ) -> None:
        """`hear` each batch, and tell `heard` what came of it. What either raises is raised when nothing is under way any more."""
        if self._pool is None:
            for batch in batches:
                heard(batch, hear(batch))
            return
        running: deque[tuple[Sequence[Piece], Future[Found]]] = deque()
        pace = _Pace(self._widths, self._clock)

        def tell() -> None:
            many = len(running)
            batch, future = running.popleft()
            heard(batch, future.result())
            pace.completed(batch[0].window, many)

        try:
            for batch in batches:
                while len(running) >= self.at_once(batch[0].window):
                    tell()
                running.append((batch, self._pool.submit(hear, batch)))
            while running:
                tell()
        finally:
            for _, future in running:
                future.cancel()
            wait([future for _, future in running])


class _Pace:
    """Of one call. Time is taken from one completion to another, as long as equally many of one window are under way."""

    def __init__(self, widths: Widths, clock: Callable[[], float]) -> None:
        self._widths, self._clock = widths, clock
        self._of: tuple[int, int] | None = None
        self._since, self._completed = clock(), 0

    def completed(self, window: int, abreast: int) -> None:
        """A batch is done, and `abreast` were under way until then."""
        if self._of not in (None, (window, abreast)):
            self._of, self._since, self._completed = (window, abreast), self._clock(), 0
            return
        self._of = (window, abreast)
        self._completed += 1
        if self._completed == abreast:
            now = self._clock()
            self._widths.worked(window, abreast, now - self._since)
            self._since, self._completed = now, 0
