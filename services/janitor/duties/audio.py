"""Recordings that go before their result does: those kept for a time of their own, those that were transcribed, those that were redacted.

First the object goes, then the row says since when it is gone: a sweep that is killed in between leaves a recording that is still due.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Protocol

import msgspec
import structlog

from common.database import Connection
from common.jobs import objects
from common.jobs.job import Job, Status
from common.storage import Storage
from services.janitor.duty import Counts, Sweep, accounted

log = structlog.get_logger(__name__)

_PAGE = 100
_AT_ONCE = timedelta(0)


class _Over(Protocol):
    async def __call__(self, connection: Connection, *, after: Job | None, limit: int) -> list[Job]: ...


class _Rule(msgspec.Struct, frozen=True):
    """Finds what it `holds` for a page at a time; a recording is `kept` for so long after its job's end."""

    find: _Over
    holds: Callable[[Job], bool]
    kept: timedelta = _AT_ONCE


class Audio:
    name = "audio"

    def __init__(self, storage: Storage, retention: timedelta | None, *, until_transcribed: bool = False) -> None:
        """`retention` counts from the job's end; `until_transcribed`: completed jobs keep none. What was redacted goes anyway."""
        self._storage = storage
        self._rules = [_Rule(objects.recordings_replaced, lambda job: job.status is Status.COMPLETED and bool(job.options.redact))]
        if until_transcribed:
            self._rules.append(_Rule(objects.recordings_transcribed, lambda job: job.status is Status.COMPLETED))
        if retention is not None:
            self._rules.append(_Rule(partial(objects.recordings_over, older_than=retention), lambda _job: True, retention))

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        for place, rule in enumerate(self._rules):
            last: Job | None = None
            while page := await rule.find(sweep.connection, after=last, limit=_PAGE):
                last = page[-1]
                # What an earlier rule has found and has left, in a dry run or since the store refuses it, counts once.
                jobs = [job for job in page if not any(earlier.holds(job) for earlier in self._rules[:place])]
                for job in jobs:
                    sweep.tell(self.name, job_id=str(job.id), key=job.source_key)
                found = Counts(len(jobs), late=sweep.late(job.finished_at + rule.kept for job in jobs if job.finished_at is not None))
                with accounted(found + Counts(failed=len(jobs))):
                    dealt_with = Counts(swept=len(jobs)) if sweep.dry_run else await self._delete(sweep.connection, jobs)
                yield found + dealt_with

    async def _delete(self, connection: Connection, jobs: Sequence[Job]) -> Counts:
        kept = await self._storage.delete_each(job.source_key for job in jobs)
        if kept:
            error = next(iter(kept.values()))
            log.warning("left for the next sweep", recordings=len(kept), code=error.code, error=error.message)
        gone = [job for job in jobs if job.source_key not in kept]
        return Counts(swept=await objects.forget_recordings(connection, gone), failed=len(kept))
