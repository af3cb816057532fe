"""`GET /api/v1/jobs`: the query of a page, and the page."""

from typing import Any

import msgspec
from litestar import Request, get
from litestar.handlers import HTTPRouteHandler

from common.database import Pool
from common.jobs import listing
from common.jobs.document import JobDocument
from common.jobs.job import Status
from common.jobs.listing import Filters, Place
from services.ingest import query
from services.ingest.auth import caller
from services.ingest.paging import Paged
from services.ingest.places import Places
from services.ingest.refusals import REFUSALS, refusals
from services.ingest.taking import asking


class JobPage(msgspec.Struct, frozen=True):
    """Newest first; `next_cursor` is null on the last page."""

    jobs: list[JobDocument]
    next_cursor: str | None


class PageQuery(Paged, frozen=True, kw_only=True):
    """What a query may hold besides `metadata.<key>`."""

    status: Status | None = None
    created_after: query.Moment | None = None
    created_before: query.Moment | None = None


def handlers(pool: Pool, places: Places) -> list[HTTPRouteHandler]:
    """Listing under `/api/v1/jobs`."""

    @get(
        "/",
        summary="List jobs",
        operation_class=asking(*query.parameters(PageQuery), query.METADATA),
        responses=REFUSALS | refusals({422: "A parameter is invalid"}),
    )
    async def list_jobs(request: Request[Any, Any, Any]) -> JobPage:
        """Jobs of the caller's tenant, newest first, a page at a time."""
        tenant = caller(request, "read").tenant
        found, metadata = query.with_metadata(query.values(request))
        asked = query.parse(found, PageQuery, others=["metadata.<key>"])
        filters = Filters(
            status=asked.status,
            created_after=asked.created_after,
            created_before=asked.created_before,
            metadata=metadata,
        )
        after = asked.after
        async with pool.acquire() as connection:
            jobs = await listing.page(connection, tenant, filters, after=after, limit=asked.rows)
            page, following = asked.cut(jobs, Place.of)
            return JobPage(await places.documents(connection, page), following)

    return [list_jobs]
