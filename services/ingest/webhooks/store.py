"""The endpoints of tenants, and the secrets that deliveries are signed with.

A secret leaves this module once, as the answer to whoever has it made; the notifier reads it to sign. There are never more than two that
live: the current one, and the one before it for as long as receivers may need to change over.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from common import ids
from common.database import Connection, Queries
from common.due import Due, about, announce
from common.webhook import ENDS, EventType, Form, new_secret

SQL = Queries(Path(__file__).with_name("webhooks.sql"))

MAX_ENDPOINTS = 20
"""Of one tenant: each event of each of its jobs is sent to all of them."""

Status = Literal["enabled", "paused", "disabled"]


class EndpointRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Where to, and what of; without `events`: how jobs end. With the payload `full` the transcript comes along."""

    url: Annotated[
        str, msgspec.Meta(min_length=8, max_length=2_000, pattern=r"^https?://[^\s/]+", description="http or https, at a public address")
    ]
    events: Annotated[tuple[EventType, ...], msgspec.Meta(min_length=1, max_length=20)] = ENDS
    description: Annotated[str, msgspec.Meta(max_length=500)] = ""
    payload: Form = "thin"


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint's owner may know of it.

    `failing_since` is the first failure after the last success. `disabled_reason` says why nothing is sent any more.
    """

    id: UUID
    url: str
    events: list[EventType]
    description: str
    payload: Form
    status: Status
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_reason: str | None
    created_at: datetime
    updated_at: datetime


class Endpoint(Described, frozen=True, kw_only=True):
    """One row of `endpoints`."""

    tenant: str


class Rotated(msgspec.Struct, frozen=True):
    """The new secret, and until when the one before it (if there was one) signs too."""

    secret: str
    created_at: datetime
    previous_until: datetime | None


async def create(connection: Connection, tenant: str, wanted: EndpointRequest) -> tuple[Endpoint, str] | None:
    """A new endpoint and its secret; None when the tenant has `MAX_ENDPOINTS`."""
    async with connection.transaction():
        await connection.execute(SQL["lock_endpoints"], tenant)
        row = await connection.fetchrow(SQL["create_endpoint"], ids.new(), tenant, *_columns(wanted), MAX_ENDPOINTS)
        if row is None:
            return None
        made = msgspec.convert(dict(row), Endpoint)
        rotated = await rotate(connection, tenant, made.id, overlap=timedelta(0))
    return made, rotated.secret


async def get(connection: Connection, endpoint_id: UUID, tenant: str) -> Endpoint | None:
    """The endpoint, if it is this tenant's."""
    row = await connection.fetchrow(SQL["get_endpoint"], endpoint_id, tenant)
    return None if row is None else msgspec.convert(dict(row), Endpoint)


async def hold(connection: Connection, endpoint_id: UUID, tenant: str) -> Endpoint | None:
    """The same, and until the transaction's end it is not deleted."""
    row = await connection.fetchrow(SQL["hold_endpoint"], endpoint_id, tenant)
    return None if row is None else msgspec.convert(dict(row), Endpoint)


async def every(connection: Connection, tenant: str) -> list[Endpoint]:
    """All of a tenant's, oldest first."""
    return [msgspec.convert(dict(row), Endpoint) for row in await connection.fetch(SQL["list_endpoints"], tenant)]


async def replace(connection: Connection, endpoint_id: UUID, tenant: str, wanted: EndpointRequest) -> Endpoint | None:
    """The endpoint with another address or other events, if it is this tenant's; what is pending goes to the new address."""
    async with connection.transaction():
        await connection.execute(SQL["lock_lane"], endpoint_id)
        row = await connection.fetchrow(SQL["replace_endpoint"], endpoint_id, tenant, *_columns(wanted))
        if row is not None:
            await _open_lane(connection, endpoint_id)
    return None if row is None else msgspec.convert(dict(row), Endpoint)


async def resume(connection: Connection, endpoint_id: UUID) -> None:
    """paused | disabled -> enabled, and what waits is sent."""
    async with connection.transaction():
        await connection.execute(SQL["lock_lane"], endpoint_id)
        if await connection.fetchval(SQL["resume"], endpoint_id) is not None:
            await _open_lane(connection, endpoint_id)


async def delete(connection: Connection, endpoint_id: UUID, tenant: str) -> bool:
    """Whether there was one. Its secrets and its log go with it."""
    return await connection.fetchval(SQL["delete_endpoint"], endpoint_id, tenant) is not None


async def rotate(connection: Connection, tenant: str, endpoint_id: UUID | None, *, overlap: timedelta) -> Rotated:
    """A new secret for an endpoint, or (without one) for what the tenant's jobs call; the one before lives on for `overlap`."""
    async with connection.transaction():
        await connection.execute(SQL["lock_secrets"], tenant)
        await connection.execute(SQL["drop_secrets"], tenant, endpoint_id)
        until = await connection.fetchval(SQL["retire_secret"], tenant, endpoint_id, overlap)
        secret = new_secret()
        created_at = await connection.fetchval(SQL["add_secret"], ids.new(), tenant, endpoint_id, secret)
    return Rotated(secret, created_at, until if overlap else None)


def _columns(wanted: EndpointRequest) -> tuple[Any, ...]:
    return (wanted.url, list(dict.fromkeys(wanted.events)), wanted.description, wanted.payload)


async def _open_lane(connection: Connection, endpoint_id: UUID) -> None:
    """However much waits there, no more is done than to announce the first: with an answer to it the notifier goes on."""
    await connection.execute(SQL["open_lane"], endpoint_id)
    row = await connection.fetchrow(SQL["first_due"], endpoint_id)
    if row is not None:
        await announce(connection, about(row["job_id"], endpoint_id), Due(row["id"], row["attempt"] + 1))
