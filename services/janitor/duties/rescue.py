"""Jobs whose worker stopped renewing its lease go back to the queue, or fail when their attempts are used up.

Swept every two seconds, so that a killed worker's job is another's within its lease plus a few seconds. Nothing is lost when it is late:
the lease only says who may write, and a worker that wakes from the dead finds its token gone.
"""

from collections.abc import AsyncGenerator

from common.jobs import upkeep
from services.janitor.duty import Counts, Sweep

_BATCH = 100


class Rescue:
    name = "rescue"

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        while True:
            late = sweep.late([await upkeep.lost_since(sweep.connection)])
            jobs = await upkeep.rescue(sweep.connection, limit=_BATCH)
            for job in jobs:
                sweep.tell(self.name, job_id=str(job.id), status=job.status.value, attempt=job.attempt)
            yield Counts(scanned=len(jobs), swept=len(jobs), late=late)
            if len(jobs) < _BATCH:
                return
