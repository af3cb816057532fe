"""When sweeps happen: at the start, then again a while after the last one ended. Nothing is remembered, so a restart forgets nothing.

What failed is found again by the next sweep, and would be asked for again and again: so the next comes the later, the more that is.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from common import patience
from common.cleanup import Report
from services.janitor.duty import Duty


class Sweeps(Protocol):
    """What a schedule needs of a sweeper."""

    async def sweep(self, duty: Duty) -> Report | None: ...


async def every(
    pause: timedelta, duties: Sequence[Duty], sweeper: Sweeps, stopping: asyncio.Event, *, longest: timedelta = timedelta(0)
) -> None:
    """Sweep `duties` one after another, with `pause` between two rounds, up to `longest` after failures, until told to stop."""
    while not stopping.is_set():
        failed = 0
        for duty in duties:
            if stopping.is_set():
                return
            report = await sweeper.sweep(duty)
            failed += 0 if report is None else report.failed
        await patience.wait(stopping, rest(pause, failed, longest).total_seconds())


def rest(pause: timedelta, failed: int, longest: timedelta) -> timedelta:
    """One pause more for each thing that failed: a single one that is held delays no other by much, and many are seldom asked for."""
    return max(pause, min(longest, pause * (1 + failed)))
