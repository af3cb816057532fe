"""`DELETE /api/v1/jobs`: many jobs at once, chosen as for a list, counted, and so many a call that an answer comes in time.

Statuses must be named, so that nothing goes by an oversight. Jobs that are not over are cancelled first; one that was over before it could
be is left alone. Bytes go before rows: a job whose bytes cannot be deleted stays, is counted as failed, and can be chosen again. It keeps
nobody from older ones: what failed does not count as dealt with, until so much has failed that a call takes long enough.
"""

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from litestar import Request, delete
from litestar.handlers import HTTPRouteHandler

from common.database import Pool
from common.emptying import empty
from common.jobs import listing, removal, store
from common.jobs.job import Job, Status
from common.jobs.listing import Filters, Place
from common.storage import Storage
from services.ingest import query
from services.ingest.auth import caller
from services.ingest.refusals import REFUSALS, refusals
from services.ingest.taking import asking

_PAGE = 100
_MOST_FAILED = 1_000


class Cleared(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs that were deleted, those among them that were cancelled for it, their objects, and jobs whose bytes could not be deleted.

    `more`: one call takes no more than that, and others match; call again (where all failed, for older ones).
    """

    deleted: int = 0
    cancelled: int = 0
    objects: int = 0
    failed: int = 0
    more: bool = False

    def __add__(self, other: "Cleared") -> "Cleared":
        return Cleared(
            deleted=self.deleted + other.deleted,
            cancelled=self.cancelled + other.cancelled,
            objects=self.objects + other.objects,
            failed=self.failed + other.failed,
            more=self.more or other.more,
        )


class ClearQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a query may hold besides `metadata.<key>`."""

    status: Annotated[
        str,
        msgspec.Meta(
            description="One or more, by comma. Jobs that are queued or processing are cancelled and then deleted",
            examples=["completed,failed"],
        ),
    ]
    created_after: query.Moment | None = None
    created_before: query.Moment | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000, description="Jobs that one call deletes at the most")] = 1_000


def handlers(pool: Pool, storage: Storage) -> list[HTTPRouteHandler]:
    """Deleting under `/api/v1/jobs`."""

    @delete(
        "/",
        status_code=200,
        summary="Delete many jobs",
        operation_class=asking(*query.parameters(ClearQuery), query.METADATA),
        responses=REFUSALS | refusals({422: "A parameter is invalid, or no status is named"}),
    )
    async def clear(request: Request[Any, Any, Any]) -> Cleared:
        """Delete the caller's jobs that have one of the statuses and match the filters, with recordings, transcripts and archives."""
        tenant = caller(request, "write").tenant
        found, metadata = query.with_metadata(query.values(request))
        asked = query.parse(found, ClearQuery, others=["metadata.<key>"])
        filters = Filters(created_after=asked.created_after, created_before=asked.created_before, metadata=metadata)
        return await delete_chosen(pool, storage, tenant, _statuses(asked.status), filters, asked.limit)

    return [clear]


async def delete_chosen(pool: Pool, storage: Storage, tenant: str, statuses: Iterable[Status], filters: Filters, limit: int) -> Cleared:
    """Delete a tenant's jobs that have one of the statuses and match the filters: `limit` of them at the most."""
    total = Cleared()
    for status in statuses:
        wanted = msgspec.structs.replace(filters, status=status)
        after: Place | None = None
        left = True
        while left and not total.more:
            size = min(_PAGE, limit - total.deleted, _MOST_FAILED - total.failed)
            async with pool.acquire() as connection:
                jobs = await listing.page(connection, tenant, wanted, after=after, limit=size + 1)
            page, left = jobs[:size], len(jobs) > size
            if page:
                after = Place.of(page[-1])
                total += await delete_page(pool, storage, tenant, status, page)
            elif left:
                total += Cleared(more=True)
    return total


def _statuses(text: str) -> list[Status]:
    """Those that are not over first: what becomes of them then is not met again as another status."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise query.invalid("status", f"name at least one of {', '.join(Status)}", [*Status])
    return sorted({query.convert("status", name, Status) for name in names}, key=lambda status: (status.final, status))


async def delete_page(pool: Pool, storage: Storage, tenant: str, status: Status, jobs: list[Job]) -> Cleared:
    """Delete those of `jobs` that still have the `status` they were chosen for."""
    cancelled: list[Job] = []
    if not status.final:
        async with pool.acquire() as connection:
            cancelled = [done for job in jobs if (done := await store.cancel(connection, job.id, tenant)) is not None]
        jobs, status = cancelled, Status.CANCELLED
    async with pool.acquire() as connection:
        jobs = await removal.condemn_many(connection, [job.id for job in jobs], tenant, status)
    emptied = await empty(storage, jobs)
    async with pool.acquire() as connection:
        deleted = await removal.delete_many(connection, emptied.jobs, tenant)
    return Cleared(deleted=len(deleted), cancelled=len(cancelled), objects=emptied.objects, failed=len(jobs) - len(emptied.jobs))
