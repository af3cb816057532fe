"""A caller's jobs and transcripts, as the earlier services look for them. What has expired is not found: they would have deleted it."""

import asyncio
import heapq
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from litestar import MediaType, Response

from common import transcript
from common.database import Pool
from common.errors import PermanentError
from common.jobs import listing
from common.jobs.job import Job, Status
from common.jobs.listing import Filters
from common.storage import Storage
from common.transcript import Transcript
from services.ingest.existing import find_job
from services.ingest.problems import Problem

EVERY = tuple(status for status in Status if status is not Status.EXPIRED)


async def find(pool: Pool, job_id: str, tenant: str) -> Job:
    """The job. Raises `Problem` 404, also for what is no id."""
    try:
        job = await find_job(pool, UUID(job_id), tenant)
    except ValueError:
        raise _missing() from None
    if job.status is Status.EXPIRED:
        raise _missing()
    return job


async def latest(pool: Pool, tenant: str, limit: int, statuses: Sequence[Status] = EVERY) -> list[Job]:
    """At most `limit` jobs that have one of the statuses, newest first."""
    async with pool.acquire() as connection:
        pages = [await listing.page(connection, tenant, Filters(status=status), after=None, limit=limit) for status in statuses]
    return list(heapq.merge(*pages, key=lambda job: (job.created_at, job.id), reverse=True))[:limit]


async def told(storage: Storage, job: Job, words: Callable[[Job, Transcript], Any]) -> Response[bytes]:
    """A completed job with its transcript, in the `words` of a document. Raises `Problem` 404 when it expires at this moment.

    Hours of speech take their time, and others must not wait for that.
    """
    if job.result is None:
        raise _missing()
    try:
        data = await storage.get(job.result.keys["transcript"])
    except PermanentError:  # the bytes go before the row says so
        raise _missing() from None
    body = await asyncio.to_thread(lambda: msgspec.json.encode(words(job, transcript.decode(data))))
    return Response(body, media_type=MediaType.JSON)


def _missing() -> Problem:
    return Problem(404, "job_not_found", "There is no such job.")
