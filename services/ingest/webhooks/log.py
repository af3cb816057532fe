"""`GET /api/v1/webhooks/{id}/deliveries`: what was sent to an endpoint and is to be sent, a page at a time."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from common.conditions import Conditions
from common.database import Pool
from services.ingest import deliveries, query
from services.ingest.auth import caller
from services.ingest.deliveries import DeliveryDocument, State
from services.ingest.paging import Paged, by
from services.ingest.refusals import REFUSALS, refusals
from services.ingest.taking import asking
from services.ingest.webhooks import store
from services.ingest.webhooks.documents import there
from services.ingest.webhooks.endpoints import NO_ENDPOINT


class LogQuery(Paged, frozen=True, kw_only=True):
    """Which of an endpoint's deliveries."""

    state: State | None = None
    created_after: query.Moment | None = None
    created_before: query.Moment | None = None


class DeliveryPage(msgspec.Struct, frozen=True):
    """Newest first; `next_cursor` is null on the last page."""

    deliveries: list[DeliveryDocument]
    next_cursor: str | None


def handlers(pool: Pool) -> list[HTTPRouteHandler]:
    """The log."""

    @get(
        "/{endpoint_id:uuid}/deliveries",
        summary="List an endpoint's deliveries",
        operation_class=asking(*query.parameters(LogQuery)),
        responses=REFUSALS | NO_ENDPOINT | refusals({422: "A parameter is invalid"}),
    )
    async def list_log(request: Request[Any, Any, Any], endpoint_id: FromPath[UUID]) -> DeliveryPage:
        """What was sent and is to be sent, newest first, each with every attempt that was made at it."""
        tenant = caller(request, "read").tenant
        asked = query.asked(request, LogQuery)
        sql, arguments = statement(endpoint_id, asked)
        async with pool.acquire() as connection:
            there(endpoint_id, await store.get(connection, endpoint_id, tenant))
            page, following = asked.cut(await connection.fetch(sql, *arguments), by("created_at"))
            return DeliveryPage(await deliveries.documents(connection, page), following)

    return [list_log]


def statement(endpoint_id: UUID, asked: LogQuery) -> tuple[str, list[Any]]:
    """The query of a page and one more row, with the conditions that were asked for, and its arguments. Raises `Problem`."""
    found = Conditions(deliveries.SQL, endpoint_id, asked.rows)
    if asked.state is not None:
        found.add(f"that_is_{asked.state}")
    found.add("created_after", asked.created_after)
    found.add("created_before", asked.created_before)
    if (after := asked.after) is not None:
        found.add("after_position", after.created_at, after.id)
    return found.statement("endpoint_deliveries")
