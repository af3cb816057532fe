"""Jobs whose objects are not in the store any more: told, and marked, so that nobody waits for what cannot come.

A page of jobs is read first and what is stored for it listed after, so what a row points at is there, or is gone. What goes by right at the
same moment is told apart by the mark's own conditions. What comes back, from a backup say, is unmarked.
"""

import asyncio
from collections.abc import AsyncGenerator

import structlog

from common.emptying import objects_of
from common.ids import JobId
from common.jobs import objects
from common.jobs.job import Status
from common.jobs.objects import Holding
from common.jobs.receipt import RECORDING
from common.storage import Storage
from common.storage_keys import AUDIO, RESULTS, source_key
from services.janitor.duty import Counts, Sweep

log = structlog.get_logger(__name__)

_PAGE = 1_000


class Lost:
    name = "lost"

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        last: JobId | None = None
        while jobs := await objects.holdings(sweep.connection, after=last, limit=_PAGE):
            last = jobs[-1].id
            found = await self._missing(jobs)
            news = {job.id: found[job.id] for job in jobs if found[job.id] != job.lost}
            marked = news if sweep.dry_run else await objects.mark_lost(sweep.connection, news)
            for job_id, lost in marked.items():
                if lost:
                    log.error("objects lost", job_id=str(job_id), objects=list(lost))
            without = [job.id for job in jobs if found[job.id] and (marked.get(job.id) or found[job.id] == job.lost)]
            yield Counts(len(jobs), swept=len(marked), failed=len(without))

    async def _missing(self, jobs: list[Holding]) -> dict[JobId, tuple[str, ...]]:
        ids = [job.id for job in jobs]
        recordings, results = await asyncio.gather(*(self._keys(prefix, ids) for prefix in (AUDIO, RESULTS)))
        return {job.id: missing(job, recordings | results) for job in jobs}

    async def _keys(self, prefix: str, ids: list[JobId]) -> set[str]:
        return {found.key async for found in objects_of(self._storage, prefix, ids)}


def missing(job: Holding, there: set[str]) -> tuple[str, ...]:
    """What the job should have in the store, by its row, and has not."""
    names = [RECORDING] if _without_recording(job, there) else []
    if job.status is Status.COMPLETED:
        names += sorted(name for name, key in job.keys.items() if key not in there)
    return tuple(names)


def _without_recording(job: Holding, there: set[str]) -> bool:
    """What was lost before it was to be deleted stays so: it cannot come back any more."""
    if job.audio_deleted_at is not None:
        return RECORDING in job.lost
    return not (job.redact and job.status is Status.COMPLETED) and source_key(job.id) not in there
