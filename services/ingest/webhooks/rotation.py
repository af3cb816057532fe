"""`/api/v1/webhooks/{id}/rotate`, and `/api/v1/webhooks/secret`: that of the URLs that the tenant's jobs name themselves.

A tenant that has no secret of its own gets what its jobs ask for signed with the service's (`WEBHOOK_SECRETS`).
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from common.database import Pool
from services.ingest import json_body
from services.ingest.auth import caller
from services.ingest.body import streamed
from services.ingest.problems import Problem
from services.ingest.refusals import BODY, REFUSALS, refusals
from services.ingest.taking import taking
from services.ingest.webhooks import store
from services.ingest.webhooks.documents import RotateRequest, SecretDocument, there
from services.ingest.webhooks.endpoints import NO_ENDPOINT
from services.ingest.webhooks.store import Rotated

_TAKING = taking(RotateRequest, {"overlap": 3_600}, required=False)
_NO_SECRET = refusals({404: "The tenant has no secret of its own"})


class SecretStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Since when there is one, and until when the one before it signs too; the secret itself is not shown again."""

    created_at: datetime
    previous_until: datetime | None


def handlers(pool: Pool) -> list[HTTPRouteHandler]:
    """Rotating, and the tenant's own."""

    async def overlap(request: Request[Any, Any, Any]) -> timedelta:
        return timedelta(seconds=json_body.parse(await json_body.read(streamed(request), optional=True), RotateRequest).overlap)

    @post(
        "/{endpoint_id:uuid}/rotate",
        status_code=200,
        summary="Rotate an endpoint's secret",
        operation_class=_TAKING,
        responses=REFUSALS | NO_ENDPOINT | BODY,
    )
    async def rotate(request: Request[Any, Any, Any], endpoint_id: FromPath[UUID]) -> SecretDocument:
        """A new secret. For `overlap` seconds (a day unless said) webhooks carry two signatures, so that holders of either can verify."""
        tenant = caller(request, "write").tenant
        kept = await overlap(request)
        async with pool.acquire() as connection, connection.transaction():
            there(endpoint_id, await store.hold(connection, endpoint_id, tenant))
            return _document(await store.rotate(connection, tenant, endpoint_id, overlap=kept))

    @get("/secret", summary="Read about the secret of jobs' own webhooks", responses=REFUSALS | _NO_SECRET)
    async def read_secret(request: Request[Any, Any, Any]) -> SecretStatus:
        """Whether webhooks to the `webhook_url` of your jobs are signed with a secret of yours."""
        tenant = caller(request, "read").tenant
        async with pool.acquire() as connection:
            row = await connection.fetchrow(store.SQL["tenant_secret"], tenant)
        if row is None or row["created_at"] is None:
            raise _none()
        return SecretStatus(created_at=row["created_at"], previous_until=row["previous_until"])

    @post(
        "/secret/rotate",
        status_code=200,
        summary="Make or rotate the secret of jobs' own webhooks",
        operation_class=_TAKING,
        responses=REFUSALS | BODY,
    )
    async def rotate_secret(request: Request[Any, Any, Any]) -> SecretDocument:
        """From now on what goes to the `webhook_url` of your jobs is signed with it, and no longer with the service's own secret."""
        tenant = caller(request, "write").tenant
        kept = await overlap(request)
        async with pool.acquire() as connection:
            return _document(await store.rotate(connection, tenant, None, overlap=kept))

    @delete("/secret", status_code=204, summary="Delete the secret of jobs' own webhooks", responses=REFUSALS | _NO_SECRET)
    async def remove_secret(request: Request[Any, Any, Any]) -> None:
        """What goes to the `webhook_url` of your jobs is signed with the service's own secret again."""
        tenant = caller(request, "write").tenant
        async with pool.acquire() as connection:
            if not await connection.fetch(store.SQL["delete_tenant_secret"], tenant):
                raise _none()

    return [rotate, read_secret, rotate_secret, remove_secret]


def _document(made: Rotated) -> SecretDocument:
    return SecretDocument(secret=made.secret, created_at=made.created_at, previous_until=made.previous_until)


def _none() -> Problem:
    return Problem(404, "no_secret", "You have no secret of your own for jobs' webhooks; POST /api/v1/webhooks/secret/rotate makes one.")
