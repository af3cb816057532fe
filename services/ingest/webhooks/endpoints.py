"""`/api/v1/webhooks`: creating, listing, reading, replacing and deleting endpoints."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from common.database import Pool
from common.settings import Network
from services.ingest import examples, json_body
from services.ingest.auth import caller
from services.ingest.body import streamed
from services.ingest.conditional import Conditional
from services.ingest.problems import Problem
from services.ingest.refusals import BODY, REFUSALS, UNCHANGED, refusals
from services.ingest.taking import taking
from services.ingest.webhooks import address, store
from services.ingest.webhooks.documents import (
    PATH,
    NewWebhook,
    WebhookDocument,
    WebhookList,
    document,
    missing,
    new,
    there,
)
from services.ingest.webhooks.store import MAX_ENDPOINTS, EndpointRequest

NO_ENDPOINT = refusals({404: "There is no such endpoint"})
_TAKING = taking(EndpointRequest, examples.WEBHOOK_REQUEST)


def handlers(pool: Pool, allowed: Sequence[Network]) -> list[HTTPRouteHandler]:
    """`allowed` are networks that endpoints may be in although they are not public."""

    async def asked(request: Request[Any, Any, Any]) -> EndpointRequest:
        found = json_body.parse(await json_body.read(streamed(request)), EndpointRequest)
        address.check(found.url, allowed)
        return found

    @post(
        "/",
        summary="Create a webhook endpoint",
        operation_class=_TAKING,
        responses=REFUSALS | BODY | refusals({409: "There are as many as there can be"}),
    )
    async def create(request: Request[Any, Any, Any]) -> Response[NewWebhook]:
        """Have events of all jobs sent to a URL. The answer is the only place where the secret that signs them can be read."""
        tenant = caller(request, "write").tenant
        wanted = await asked(request)
        async with pool.acquire() as connection:
            made = await store.create(connection, tenant, wanted)
        if made is None:
            raise Problem(
                409,
                "too_many_endpoints",
                f"You have {MAX_ENDPOINTS} webhook endpoints, and no more can be kept; delete one.",
                limit=MAX_ENDPOINTS,
            )
        endpoint, secret = made
        return Response(new(endpoint, secret), status_code=201, headers={"Location": f"{PATH}/{endpoint.id}"})

    @get("/", summary="List webhook endpoints", responses=REFUSALS)
    async def list_endpoints(request: Request[Any, Any, Any]) -> WebhookList:
        """All of the caller's tenant, oldest first."""
        tenant = caller(request, "read").tenant
        async with pool.acquire() as connection:
            return WebhookList([document(found) for found in await store.every(connection, tenant)])

    @get("/{endpoint_id:uuid}", summary="Read a webhook endpoint", response_class=Conditional, responses=REFUSALS | NO_ENDPOINT | UNCHANGED)
    async def read(request: Request[Any, Any, Any], endpoint_id: FromPath[UUID]) -> WebhookDocument:
        """Where it is, what it is told, and whether that arrives."""
        tenant = caller(request, "read").tenant
        async with pool.acquire() as connection:
            return document(there(endpoint_id, await store.get(connection, endpoint_id, tenant)))

    @put(
        "/{endpoint_id:uuid}",
        summary="Replace a webhook endpoint",
        operation_class=_TAKING,
        responses=REFUSALS | NO_ENDPOINT | BODY,
    )
    async def replace(request: Request[Any, Any, Any], endpoint_id: FromPath[UUID]) -> WebhookDocument:
        """Another address, other events; what is still to be sent goes to the new address. Secret and status stay."""
        tenant = caller(request, "write").tenant
        wanted = await asked(request)
        async with pool.acquire() as connection:
            found = await store.replace(connection, endpoint_id, tenant, wanted)
        return document(there(endpoint_id, found))

    @delete("/{endpoint_id:uuid}", status_code=204, summary="Delete a webhook endpoint", responses=REFUSALS | NO_ENDPOINT)
    async def remove(request: Request[Any, Any, Any], endpoint_id: FromPath[UUID]) -> None:
        """Send it nothing more, and forget its secrets and its deliveries."""
        tenant = caller(request, "write").tenant
        async with pool.acquire() as connection:
            if not await store.delete(connection, endpoint_id, tenant):
                raise missing(endpoint_id)

    return [create, list_endpoints, read, replace, remove]
