"""What is left of jobs that expired or were deleted, once it has been kept for long enough: tombstones, and receipts.

With a tombstone goes whatever refers to it, its deliveries among them, and `job.deleted` is announced in the same transaction. So it
stays for as long as one of them is still to be made, as for a paused endpoint. A batch is one guarded statement: two that purge at
once share the rows.
"""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime, timedelta

from common.jobs import removal
from services.janitor.duty import Counts, Sweep

_BATCH = 500


class Tombstones:
    name = "tombstones"

    def __init__(self, retention: timedelta) -> None:
        self._retention = retention

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        for purge in (self._jobs, self._receipts):
            while True:
                since = await purge(sweep)
                late = sweep.late(None if moment is None else moment + self._retention for moment in since)
                yield Counts(scanned=len(since), swept=len(since), late=late)
                if len(since) < _BATCH:
                    break

    async def _jobs(self, sweep: Sweep) -> Sequence[datetime | None]:
        jobs = await removal.purge(sweep.connection, older_than=self._retention, limit=_BATCH)
        for job in jobs:
            sweep.tell(self.name, job_id=str(job.id))
        return [job.expired_at for job in jobs]

    async def _receipts(self, sweep: Sweep) -> Sequence[datetime | None]:
        return await removal.purge_receipts(sweep.connection, older_than=self._retention, limit=_BATCH)
