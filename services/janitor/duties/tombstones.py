"""What is left of jobs that expired or were deleted, once it has been kept for long enough: tombstones, and receipts.

With a tombstone goes whatever refers to it, its deliveries among them, and `job.deleted` is announced in the same transaction. So it
stays for as long as one of them is still to be made, as for a paused endpoint. A batch is one guarded statement: two that purge at
once share the rows.
"""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime, timedelta

from common.jobs import removal
from common.jobs.job import Job
from services.janitor.duty import Counts, Sweep

_BATCH = 500


class Tombstones:
    name = "tombstones"

    def __init__(self, retention: timedelta) -> None:
        self._retention = retention

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        last: Job | None = None
        while jobs := await removal.purge(sweep.connection, older_than=self._retention, after=last, limit=_BATCH):
            last = jobs[-1]
            yield self._purged(sweep, jobs)
        while receipts := await removal.purge_receipts(sweep.connection, older_than=self._retention, limit=_BATCH):
            yield self._counts(sweep, receipts)

    def _purged(self, sweep: Sweep, jobs: Sequence[Job]) -> Counts:
        for job in jobs:
            sweep.tell(self.name, job_id=str(job.id))
        return self._counts(sweep, [job.expired_at for job in jobs])

    def _counts(self, sweep: Sweep, since: Sequence[datetime | None]) -> Counts:
        late = sweep.late(None if moment is None else moment + self._retention for moment in since)
        return Counts(scanned=len(since), swept=len(since), late=late)
