"""Age lifts priority: who has waited long in one band of the queue goes on to the next better one.

High goes before normal and normal before low for as long as there is any, so without this a stream of urgent jobs would keep the others
waiting for ever. Of each tenant one job at a time is lifted, and it queues up behind what is there: every job is served in the end, and a
backlog that has grown old does not stand in the way of what is urgent.
"""

from collections.abc import AsyncGenerator
from datetime import timedelta

from common.jobs import upkeep
from services.janitor.duty import Counts, Sweep

AFTER = timedelta(minutes=15)
"""In each band: a low job is a high one after twice that."""

_BATCH = 100


class Lift:
    name = "lift"

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        while True:
            jobs = await upkeep.lift(sweep.connection, older_than=AFTER, limit=_BATCH)
            for job in jobs:
                sweep.tell(self.name, job_id=str(job.id), band=job.band)
            yield Counts(scanned=len(jobs), swept=len(jobs))
            if len(jobs) < _BATCH:
                return
