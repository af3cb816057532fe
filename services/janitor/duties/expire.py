"""Finished jobs past their time: first the bytes go, then the row becomes a tombstone and `job.expired` is announced.

In this order, since a row that is forgotten first would leave bytes that nobody looks for. Killed in between, the job is still due, and the
next sweep deletes what is left and goes on. A job whose bytes cannot be deleted stays as it is.
"""

from collections.abc import AsyncGenerator

from common.jobs import store
from common.jobs.job import Job
from common.storage import Storage
from common.storage_keys import job_prefixes
from common.tolerance import attempt_each
from services.janitor import metrics
from services.janitor.duty import Counts, Sweep

_BATCH = 100
_AT_ONCE = 8


class Expire:
    name = "expire"

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        last: Job | None = None
        metrics.backlog(self.name, 0)
        while jobs := await store.due_to_expire(sweep.connection, after=last, limit=_BATCH):
            if last is None and jobs[0].expires_at is not None:
                metrics.backlog(self.name, (sweep.now - jobs[0].expires_at).total_seconds())
            last = jobs[-1]
            for job in jobs:
                sweep.tell(self.name, job_id=str(job.id), status=job.status.value)
            yield Counts(len(jobs), swept=len(jobs)) if sweep.dry_run else await self._expire(sweep, jobs)

    async def _expire(self, sweep: Sweep, jobs: list[Job]) -> Counts:
        emptied = await attempt_each(jobs, self._delete_bytes, at_once=_AT_ONCE)
        expired = [await store.expire(sweep.connection, job.id) for job in emptied]
        # One that is no longer due by now was changed by someone else, which is neither a success nor a failure of ours.
        return Counts(len(jobs), swept=sum(job is not None for job in expired), failed=len(jobs) - len(emptied))

    async def _delete_bytes(self, job: Job) -> None:
        await self._storage.delete_prefixes(job_prefixes(job.id))
