"""How a long sweep goes on: whether the last jobs take longer than the first, and whose doing that is."""

import asyncio
import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Self

import msgspec

from bench._cpu import used
from bench._system import System
from common.database import Pool

_LOOK_SECONDS = 2.0


class Stretch(msgspec.Struct, frozen=True):
    """A part of a sweep: how long it took, and the CPU seconds of each process, idle or not."""

    jobs: int
    seconds: float
    used: dict[str, float]

    @property
    def rate(self) -> float:
        return self.jobs / self.seconds

    def each(self, name: str) -> float:
        """Milliseconds of CPU a job."""
        return self.used[name] / self.jobs * 1_000


class Course:
    """Looks at it while the block runs."""

    def __init__(self, system: System, pool: Pool, services: Sequence[str]) -> None:
        self._system, self._pool, self._services = system, pool, services
        self._looks: list[tuple[float, int, dict[str, float]]] = []

    async def __aenter__(self) -> Self:
        await self._look()
        self._task = asyncio.create_task(self._go_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._look()

    def tenths(self) -> list[Stretch]:
        """By jobs, as near as the looks are."""
        first, last = self._looks[0], self._looks[-1]
        ends = [next(look for look in self._looks if look[1] - first[1] >= (last[1] - first[1]) * part / 10) for part in range(1, 11)]
        stretches = [(before, after) for before, after in pairwise([first, *ends]) if after[1] > before[1]]
        return [
            Stretch(after[1] - before[1], after[0] - before[0], {name: after[2][name] - before[2][name] for name in before[2]})
            for before, after in stretches
        ]

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self._look()

    async def _look(self) -> None:
        changed = await self._pool.fetchval("select n_tup_upd from pg_stat_user_tables where relname = 'jobs'")
        self._looks.append((time.perf_counter(), changed, used(self._system, self._services)))


def course_rows(courses: Sequence[Sequence[Stretch]]) -> Iterator[tuple[str, str, str]]:
    """What the first and the last of a sweep took, the median of several."""

    def both(value: Callable[[Stretch], float]) -> Iterator[float]:
        for which in (0, -1):
            yield statistics.median(value(course[which]) for course in courses)

    first, last = both(lambda stretch: stretch.rate)
    yield "jobs a second, first / last tenth", f"{first:.0f} / {last:.0f}", ""
    for name in sorted(courses[0][0].used):
        first, last = both(partial(Stretch.each, name=name))
        yield f"  CPU ms a job, {name}", f"{first:.2f} / {last:.2f}", ""
