"""What is sent to an endpoint: a test, the same once more; and whether anything is.

What a paused endpoint is to be told waits, and is sent when it is resumed. What a disabled one was to be told is in its log as failed:
resuming sends none of it, replaying does.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from common import ids, webhook
from common.database import Connection, Pool
from common.due import Due, about, announce, announce_all
from services.ingest import deliveries, examples, json_body
from services.ingest.auth import caller
from services.ingest.body import streamed
from services.ingest.deliveries import DeliveryDocument
from services.ingest.refusals import BODY, REFUSALS, refusals
from services.ingest.taking import taking
from services.ingest.webhooks import store
from services.ingest.webhooks.documents import WebhookDocument, document, there
from services.ingest.webhooks.endpoints import NO_ENDPOINT
from services.ingest.webhooks.store import Endpoint

_REPLAYED_AT_ONCE = 1_000

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Those that came about from `since` on, and before `until`: the failed ones, or, with `all`, also what was delivered."""

    since: _Moment
    until: _Moment | None = None
    state: Literal["failed", "all"] = "failed"


class Replayed(msgspec.Struct, frozen=True):
    """How many are sent once more. Where there are more, ask again with `next_since` as `since`."""

    replayed: int
    next_since: datetime | None


def handlers(pool: Pool) -> list[HTTPRouteHandler]:
    """Testing, replaying, pausing and resuming."""

    @post("/{endpoint_id:uuid}/test", status_code=202, summary="Test a webhook endpoint", responses=REFUSALS | NO_ENDPOINT)
    async def test(request: Request[Any, Any, Any], endpoint_id: FromPath[UUID]) -> DeliveryDocument:
        """Send a `webhook.test` event, signed like any other, once, whatever the endpoint's status; the delivery shows what came of it."""
        tenant = caller(request, "write").tenant
        async with pool.acquire() as connection, connection.transaction():
            endpoint = await _there(connection, endpoint_id, tenant)
            return await deliveries.find(connection, await _test(connection, endpoint), tenant)

    @post(
        "/{endpoint_id:uuid}/replay",
        status_code=202,
        summary="Deliver a range of webhooks again",
        operation_class=taking(ReplayRequest, examples.REPLAY_REQUEST),
        responses=REFUSALS | NO_ENDPOINT | BODY | refusals({409: "The endpoint is disabled"}),
    )
    async def replay(request: Request[Any, Any, Any], endpoint_id: FromPath[UUID]) -> Replayed:
        """Send once more what failed since a time, or all of it, oldest first and under the same ids; what is being tried is left alone."""
        tenant = caller(request, "write").tenant
        asked = json_body.parse(await json_body.read(streamed(request)), ReplayRequest)
        async with pool.acquire() as connection, connection.transaction():
            await _there(connection, endpoint_id, tenant)
            await deliveries.refuse_disabled(connection, endpoint_id)
            return await _replay(connection, endpoint_id, asked)

    @post("/{endpoint_id:uuid}/pause", status_code=200, summary="Pause a webhook endpoint", responses=REFUSALS | NO_ENDPOINT)
    async def pause(request: Request[Any, Any, Any], endpoint_id: FromPath[UUID]) -> WebhookDocument:
        """What it is to be told waits until it is resumed. A disabled one stays disabled."""
        tenant = caller(request, "write").tenant
        async with pool.acquire() as connection, connection.transaction():
            await _there(connection, endpoint_id, tenant)
            await connection.execute(store.SQL["pause"], endpoint_id)
            return document(await _there(connection, endpoint_id, tenant))

    @post("/{endpoint_id:uuid}/resume", status_code=200, summary="Resume a webhook endpoint", responses=REFUSALS | NO_ENDPOINT)
    async def resume(request: Request[Any, Any, Any], endpoint_id: FromPath[UUID]) -> WebhookDocument:
        """Send what waited, and what happens from now on. What failed while it was disabled is sent by replaying it."""
        tenant = caller(request, "write").tenant
        async with pool.acquire() as connection, connection.transaction():
            await _there(connection, endpoint_id, tenant)
            await store.resume(connection, endpoint_id)
            return document(await _there(connection, endpoint_id, tenant))

    return [test, replay, pause, resume]


async def _there(connection: Connection, endpoint_id: UUID, tenant: str) -> Endpoint:
    return there(endpoint_id, await store.get(connection, endpoint_id, tenant))


async def _test(connection: Connection, endpoint: Endpoint) -> UUID:
    """(new) -> pending."""
    delivery_id, event_id = ids.new(), ids.new()
    data = msgspec.json.encode({"webhook": f"/api/v1/webhooks/{endpoint.id}", "message": "This is a test; nothing has happened."})
    body = webhook.body(webhook.TEST, await connection.fetchval(store.SQL["now"]), data)
    await connection.execute(store.SQL["create_test"], delivery_id, event_id, webhook.TEST, endpoint.id, body)
    await announce(connection, about(None, endpoint.id), Due(delivery_id, 1))
    return delivery_id


async def _replay(connection: Connection, endpoint_id: UUID, asked: ReplayRequest) -> Replayed:
    states = ["failed"] if asked.state == "failed" else ["failed", "delivered"]
    rows = await connection.fetch(store.SQL["replay"], endpoint_id, asked.since, asked.until, states, _REPLAYED_AT_ONCE)
    rows.sort(key=lambda row: (row["created_at"], row["id"]))
    await announce_all(connection, [(about(row["job_id"], endpoint_id), Due(row["id"], row["attempt"] + 1)) for row in rows])
    more = len(rows) == _REPLAYED_AT_ONCE
    return Replayed(len(rows), rows[-1]["created_at"] if more else None)
