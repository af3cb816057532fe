"""Whoever wants to be told how a job ended is told, also when the broker lost the event before the notifier had it: it is published again.

An end of which somebody wants to hear leaves a delivery behind. One that has left none for a while, while no event of it waits in the
outbox and none in the notifier's queue, was lost. What is told is the same event under the same id, so whoever hears it twice knows. Who
asked for such events only after it is not told of it.

Only ends are told again; that a job was started or has expired is not. Ends from before `REACH` are left alone: their deliveries may have
been forgotten by right.
"""

from collections.abc import AsyncGenerator
from datetime import timedelta

from common import topology
from common.broker import Broker
from common.jobs import upkeep
from services.janitor.duty import Counts, Sweep

PAUSE = timedelta(seconds=20)
PATIENCE = timedelta(seconds=30)
REACH = timedelta(hours=1)
_LIMIT = 1_000


class Retell:
    name = "retell"

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        if not await upkeep.untold(sweep.connection, older_than=PATIENCE, reach=REACH, limit=1):
            yield Counts()
            return
        if await self._broker.ready(topology.NOTIFIER_EVENTS):
            yield Counts()  # what waits there cannot be told from what was lost
            return
        jobs = await upkeep.retell(sweep.connection, older_than=PATIENCE, reach=REACH, limit=_LIMIT)
        for job in jobs:
            sweep.tell(self.name, job_id=str(job.id), status=job.status.value)
        yield Counts(len(jobs), swept=len(jobs), late=sweep.late(job.finished_at for job in jobs))
