"""`POST /api/v1/admin/resume`: after an outage, have another go at what it broke.

Jobs that failed although another attempt may succeed are queued again, with all their attempts; jobs whose worker is gone go back to the
queue at once, without waiting for the janitor. A job whose recording is gone stays as it is.
"""

from typing import Annotated, Any

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler

from common.database import Pool
from common.jobs import store, upkeep
from common.jobs.job import Job, Status
from common.storage import Storage
from services.ingest import query
from services.ingest.auth import caller
from services.ingest.refusals import REFUSALS, refusals
from services.ingest.taking import asking

_PAGE = 100


class ResumeQuery(msgspec.Struct, frozen=True):
    """How much to do."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000, description="Failed jobs that one call looks at")] = 1_000


class Resumed(msgspec.Struct, frozen=True, kw_only=True):
    """Failed jobs that are queued again; jobs taken from workers that are gone; failed jobs that cannot be tried without their recording.

    `more`: as many as one call takes were looked at, and there are others; call again.
    """

    requeued: int
    rescued: int
    audio_gone: int
    more: bool


def handlers(pool: Pool, storage: Storage) -> list[HTTPRouteHandler]:
    """Resuming."""

    @post(
        "/resume",
        status_code=200,
        summary="Resume failed and stuck jobs",
        operation_class=asking(*query.parameters(ResumeQuery)),
        responses=REFUSALS | refusals({422: "A parameter is invalid"}),
    )
    async def resume(request: Request[Any, Any, Any]) -> Resumed:
        """Queue again what failed but may succeed, and what a lost worker has, of all tenants; counted."""
        caller(request, "admin")
        limit = query.asked(request, ResumeQuery).limit
        async with pool.acquire() as connection:
            lost = await upkeep.rescue(connection, limit=limit)
        requeued, gone, seen = 0, 0, 0
        last: Job | None = None
        more = True
        while more and seen < limit:
            size = min(_PAGE, limit - seen)
            async with pool.acquire() as connection:
                found = await store.resumable(connection, after=last, limit=size + 1)
            jobs, more = found[:size], len(found) > size
            for job in jobs:
                if not await storage.exists(job.source_key):
                    gone += 1
                    continue
                async with pool.acquire() as connection:
                    requeued += await store.resubmit(connection, job.id, job.tenant) is not None
            seen, last = seen + len(jobs), jobs[-1] if jobs else last
        return Resumed(requeued=requeued, rescued=sum(job.status is Status.QUEUED for job in lost), audio_gone=gone, more=more)

    return [resume]
