"""Whoever wants to be told how a job ended is told, also when the broker lost the event before the notifier had it: it is published again.

An end of which somebody wants to hear leaves a delivery behind. One that has left none for a while, while no event of it waits in the
outbox and none in the notifier's queue, was lost. What is told is the same event under the same id, so whoever hears it twice knows. Who
asked for such events only after it is not told of it.

Only ends are told again; that a job was started or has expired is not. A look goes back to the last one that came to its end, and the first
as far as deliveries are kept, `LONGEST` at the most: those of ends from before may have been forgotten by right. It is taken an hour at a
time, so that each question is a small one.
"""

from collections.abc import AsyncGenerator
from datetime import datetime, timedelta

from common import topology
from common.broker import Broker
from common.jobs import upkeep
from services.janitor.duty import Counts, Sweep

PAUSE = timedelta(seconds=20)
PATIENCE = timedelta(seconds=30)
LONGEST = timedelta(days=7)
_HOUR = timedelta(hours=1)
_LIMIT = 1_000


class Retell:
    """Remembers when it has last looked to the end."""

    name = "retell"

    def __init__(self, broker: Broker, deliveries_kept: timedelta = LONGEST) -> None:
        self._broker = broker
        self._longest = min(deliveries_kept, LONGEST)
        self._looked: datetime | None = None

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        missed = self._longest if self._looked is None else sweep.now - self._looked
        reach = min(missed + _HOUR, self._longest)
        older_than = PATIENCE
        while older_than < reach:
            until = min(older_than + _HOUR, reach)
            while await upkeep.untold(sweep.connection, older_than=older_than, reach=until, limit=1):
                if await self._broker.ready(topology.NOTIFIER_EVENTS):
                    yield Counts()  # what waits there cannot be told from what was lost
                    return
                told = await self._tell(sweep, older_than, until)
                yield told
                if told.swept < _LIMIT:
                    break  # who asks again at once finds what is on its way to the notifier
            yield Counts()
            older_than = until
        if not sweep.dry_run:
            self._looked = sweep.now

    async def _tell(self, sweep: Sweep, older_than: timedelta, reach: timedelta) -> Counts:
        jobs = await upkeep.retell(sweep.connection, older_than=older_than, reach=reach, limit=_LIMIT)
        for job in jobs:
            sweep.tell(self.name, job_id=str(job.id), status=job.status.value)
        return Counts(len(jobs), swept=len(jobs), late=sweep.late(job.finished_at for job in jobs))
