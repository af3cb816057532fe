"""Recordings that go before their result does: those kept for a time of their own, those that were transcribed, those that were redacted.

First the object goes, then the row says since when it is gone: a sweep that is killed in between leaves a recording that is still due.
"""

from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from functools import partial
from typing import Protocol

import structlog

from common.database import Connection
from common.jobs import objects
from common.jobs.job import Job
from common.storage import Storage
from services.janitor.duty import Counts, Sweep

log = structlog.get_logger(__name__)

_PAGE = 100


class _Over(Protocol):
    async def __call__(self, connection: Connection, *, after: Job | None, limit: int) -> list[Job]: ...


class Audio:
    name = "audio"

    def __init__(self, storage: Storage, retention: timedelta | None, *, until_transcribed: bool = False) -> None:
        """`retention` counts from the job's end; `until_transcribed`: completed jobs keep none. What was redacted goes anyway."""
        self._storage = storage
        at_once = timedelta(0)
        self._over: list[tuple[_Over, timedelta]] = [(objects.recordings_replaced, at_once)]
        if until_transcribed:
            self._over.append((objects.recordings_transcribed, at_once))
        if retention is not None:
            self._over.append((partial(objects.recordings_over, older_than=retention), retention))

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        for over, kept in self._over:
            last: Job | None = None
            while jobs := await over(sweep.connection, after=last, limit=_PAGE):
                last = jobs[-1]
                for job in jobs:
                    sweep.tell(self.name, job_id=str(job.id), key=job.source_key)
                late = sweep.late(job.finished_at + kept for job in jobs if job.finished_at is not None)
                if sweep.dry_run:
                    yield Counts(len(jobs), swept=len(jobs), late=late)
                else:
                    yield Counts(len(jobs), late=late) + await self._delete(sweep.connection, jobs)

    async def _delete(self, connection: Connection, jobs: Sequence[Job]) -> Counts:
        kept = await self._storage.delete_each(job.source_key for job in jobs)
        if kept:
            error = next(iter(kept.values()))
            if len(kept) == len(jobs):
                raise error
            log.warning("left for the next sweep", recordings=len(kept), code=error.code, error=error.message)
        gone = [job.id for job in jobs if job.source_key not in kept]
        return Counts(swept=await objects.forget_recordings(connection, gone), failed=len(kept))
