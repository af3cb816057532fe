"""`/api/v1/admin/keys`: who may call the API, of all tenants. A key is shown once, when it is made."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from common.conditions import Conditions
from common.database import Pool, Queries
from services.ingest import json_body, query
from services.ingest.auth import DEFAULT_TENANT, KeyScope, Tenant, caller, create_key, digest
from services.ingest.body import streamed
from services.ingest.paging import Paged, by
from services.ingest.problems import Problem
from services.ingest.refusals import BODY, REFUSALS, refusals
from services.ingest.taking import asking, taking

SQL = Queries(Path(__file__).with_name("keys.sql"))
_PATH = "/api/v1/admin/keys"
_NO_KEY = refusals({404: "There is no such key"})


class KeyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant exists by having keys. `expires_in` is in seconds; without it the key lives until it is revoked."""

    tenant: Tenant = DEFAULT_TENANT
    name: Annotated[str, msgspec.Meta(max_length=200)] = ""
    scopes: Annotated[tuple[KeyScope, ...], msgspec.Meta(min_length=1, max_length=3)] = ("read", "write")
    expires_in: Annotated[int, msgspec.Meta(ge=60, le=315_360_000)] | None = None


class KeysQuery(Paged, frozen=True, kw_only=True):
    """Whose keys."""

    tenant: Annotated[Tenant, msgspec.Meta(description="Only this tenant's")] | None = None


class KeyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret; `live` is false once it is revoked or has expired."""

    id: UUID
    tenant: str
    name: str
    scopes: list[KeyScope]
    live: bool
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class NewKey(KeyDocument, frozen=True, kw_only=True):
    """`key` is the secret: it is shown this once."""

    key: str


class KeyPage(msgspec.Struct, frozen=True):
    """Newest first; `next_cursor` is null on the last page."""

    keys: list[KeyDocument]
    next_cursor: str | None


def handlers(pool: Pool) -> list[HTTPRouteHandler]:
    """Creating, listing, revoking."""

    @post(
        "/keys",
        summary="Create an API key",
        operation_class=taking(KeyRequest, {"tenant": "editors", "name": "web site", "scopes": ["read", "write"]}),
        responses=REFUSALS | BODY,
    )
    async def create(request: Request[Any, Any, Any]) -> Response[NewKey]:
        """A new key; the answer is the only place where it can be read."""
        caller(request, "admin")
        asked = json_body.parse(await json_body.read(streamed(request)), KeyRequest)
        async with pool.acquire() as connection:
            expires_in = None if asked.expires_in is None else timedelta(seconds=asked.expires_in)
            secret = await create_key(connection, tenant=asked.tenant, name=asked.name, scopes=asked.scopes, expires_in=expires_in)
            row = await connection.fetchrow(SQL["key_of_hash"], digest(secret))
        made = msgspec.convert({**dict(row or {}), "key": secret}, NewKey)
        return Response(made, status_code=201, headers={"Location": f"{_PATH}/{made.id}"})

    @get(
        "/keys",
        summary="List API keys",
        operation_class=asking(*query.parameters(KeysQuery)),
        responses=REFUSALS | refusals({422: "A parameter is invalid"}),
    )
    async def list_keys(request: Request[Any, Any, Any]) -> KeyPage:
        """All keys, revoked ones too; never their secrets."""
        caller(request, "admin")
        asked = query.asked(request, KeysQuery)
        sql, arguments = statement(asked)
        async with pool.acquire() as connection:
            page, following = asked.cut(await connection.fetch(sql, *arguments), by("created_at"))
        return KeyPage([msgspec.convert(dict(row), KeyDocument) for row in page], following)

    @get("/keys/{key_id:uuid}", summary="Read an API key", responses=REFUSALS | _NO_KEY)
    async def read(request: Request[Any, Any, Any], key_id: FromPath[UUID]) -> KeyDocument:
        """Whose it is, what it may do, whether it lives."""
        caller(request, "admin")
        async with pool.acquire() as connection:
            row = await connection.fetchrow(SQL["get_key"], key_id)
        if row is None:
            raise _missing(key_id)
        return msgspec.convert(dict(row), KeyDocument)

    @delete("/keys/{key_id:uuid}", status_code=204, summary="Revoke an API key", responses=REFUSALS | _NO_KEY)
    async def revoke(request: Request[Any, Any, Any], key_id: FromPath[UUID]) -> None:
        """End a key: the next request with it is refused, and streams that it opened are cut. Revoking it again changes nothing."""
        caller(request, "admin")
        async with pool.acquire() as connection:
            if await connection.fetchrow(SQL["revoke_key"], key_id) is None:
                raise _missing(key_id)

    return [create, list_keys, read, revoke]


def statement(asked: KeysQuery) -> tuple[str, list[Any]]:
    """The query of a page and one more row, with the conditions that were asked for, and its arguments. Raises `Problem`."""
    found = Conditions(SQL, asked.rows)
    found.add("of_tenant", asked.tenant)
    if (after := asked.after) is not None:
        found.add("after_key", after.id)
    return found.statement("list_keys")


def _missing(key_id: UUID) -> Problem:
    return Problem(404, "key_not_found", f"There is no key {key_id}.")
