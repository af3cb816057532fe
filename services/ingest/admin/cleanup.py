"""`/api/v1/admin/cleanup`: have a janitor clean up now, and read what came of it."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath

from common import cleanup
from common.cleanup import Cleanup, DutyName, Report, Round
from common.database import Pool
from common.jobs.watch import Watch
from services.ingest import json_body, query
from services.ingest.auth import caller
from services.ingest.body import streamed
from services.ingest.problems import Problem
from services.ingest.refusals import BODY, REFUSALS, refusals
from services.ingest.taking import taking
from services.ingest.waiting import MAX_SECONDS, until

_PATH = "/api/v1/admin/cleanup"
_RETRY_SECONDS = 5
_POLL_SECONDS = 2.0


class CleanupRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`duties` names those that are wanted; none: all. A `dry_run` counts what would go and keeps it."""

    duties: tuple[DutyName, ...] = ()
    dry_run: bool = False


class CleanupQuery(msgspec.Struct, frozen=True):
    """How long to wait."""

    wait: Annotated[float, msgspec.Meta(ge=0, le=MAX_SECONDS, description="Seconds to wait for the reports")] = 10


class CleanupDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`reports`: one for each duty, in order, once it has finished."""

    id: UUID
    status: Literal["waiting", "finished"]
    duties: list[DutyName]
    dry_run: bool
    requested_at: datetime
    finished_at: datetime | None
    reports: list[Report]
    links: dict[str, str]


def handlers(pool: Pool, watch: Watch) -> list[HTTPRouteHandler]:
    """Asking, and looking how far it is."""

    async def find(round_id: UUID) -> Round | None:
        async with pool.acquire() as connection:
            return await cleanup.read(connection, round_id)

    @post(
        "/cleanup",
        status_code=200,
        summary="Clean up now",
        operation_class=taking(CleanupRequest, {"dry_run": True}, *query.parameters(CleanupQuery), required=False),
        responses=REFUSALS
        | {202: ResponseSpec(CleanupDocument, description="Not finished yet; Location says where to look", generate_examples=False)}
        | BODY,
    )
    async def clean_up(request: Request[Any, Any, Any]) -> Response[CleanupDocument]:
        """Have a janitor expire, sweep and measure; the reports if they come in time, else 202 and where they will be."""
        caller(request, "admin")
        wait = query.asked(request, CleanupQuery).wait
        asked = json_body.parse(await json_body.read(streamed(request), optional=True), CleanupRequest)
        async with pool.acquire() as connection:
            round_id = await cleanup.ask(connection, Cleanup(asked.duties, asked.dry_run))
        found = await until(watch, str(round_id), lambda: find(round_id), _finished, seconds=wait, poll=_POLL_SECONDS)
        assert found is not None
        document = _document(found)
        if found.finished_at is not None:
            return Response(document, status_code=200)
        return Response(document, status_code=202, headers={"Location": f"{_PATH}/{round_id}", "Retry-After": str(_RETRY_SECONDS)})

    @get("/cleanup/{cleanup_id:uuid}", summary="Read a cleanup", responses=REFUSALS | refusals({404: "There is no such cleanup"}))
    async def read_cleanup(request: Request[Any, Any, Any], cleanup_id: FromPath[UUID]) -> CleanupDocument:
        """What was asked for and, once it has finished, what came of it; kept for a week."""
        caller(request, "admin")
        found = await find(cleanup_id)
        if found is None:
            raise Problem(404, "cleanup_not_found", f"There is no cleanup {cleanup_id}; they are kept for a week.")
        return _document(found)

    return [clean_up, read_cleanup]


def _finished(found: Round | None) -> bool:
    return found is None or found.finished_at is not None


def _document(found: Round) -> CleanupDocument:
    return CleanupDocument(
        id=found.id,
        status="waiting" if found.finished_at is None else "finished",
        duties=list(found.request.duties),
        dry_run=found.request.dry_run,
        requested_at=found.requested_at,
        finished_at=found.finished_at,
        reports=found.reports or [],
        links={"self": f"{_PATH}/{found.id}"},
    )
