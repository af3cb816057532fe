"""When sweeps happen: at the start, then again a while after the last one ended. Nothing is remembered, so a restart forgets nothing."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from common import patience
from services.janitor.duty import Duty


class Sweeps(Protocol):
    """What a schedule needs of a sweeper."""

    async def sweep(self, duty: Duty) -> object: ...


async def every(pause: timedelta, duties: Sequence[Duty], sweeper: Sweeps, stopping: asyncio.Event) -> None:
    """Sweep `duties` one after another, with `pause` between two rounds, until told to stop."""
    while not stopping.is_set():
        for duty in duties:
            if stopping.is_set():
                return
            await sweeper.sweep(duty)
        await patience.wait(stopping, pause.total_seconds())
