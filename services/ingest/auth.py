"""Who is asking: `Authorization: Bearer vb_…`, or nobody in particular when `AUTH=off` (loopback only).

A key is 256 random bits, so a plain SHA-256 of it is enough to store: there is nothing to guess, and Argon2 would cost 25 ms a request.
"""

import hashlib
import secrets
from collections.abc import Collection
from datetime import timedelta
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

import msgspec
from litestar import Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from common import ids
from common.database import AWAY, Connection, Pool
from services.ingest import compat, origin
from services.ingest.admission import RateLimit
from services.ingest.problems import Problem, deny, unavailable
from services.ingest.reads import Reads

PREFIX = "vb_"
KEY_SUBPROTOCOL = "bearer."
KeyScope = Literal["read", "write", "admin"]
SCOPES: tuple[KeyScope, ...] = get_args(KeyScope)
Tenant = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._@-]+$")]
DEFAULT_TENANT = "default"
_GUARDED = ("/api/", "/v1/", "/files", *compat.PATHS)
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_FIND_KEYS = """
select hash, id, tenant, scopes from api_keys where hash = any($1::bytea[]) and revoked_at is null and coalesce(expires_at > now(), true)
"""


class Caller(msgspec.Struct, frozen=True):
    """Whose jobs the request may see, and what it may do with them."""

    tenant: str
    scopes: frozenset[str]
    key_id: UUID = UUID(int=0)


EVERYBODY = Caller(DEFAULT_TENANT, frozenset(SCOPES))


def caller(request: Request[Any, Any, Any], scope: str) -> Caller:
    """The request's caller, who must have `scope`. Raises `Problem` 403."""
    return caller_in(request.scope, scope)


def caller_in(connection: Scope, scope: str) -> Caller:
    """The same for a connection that is no HTTP request, by its ASGI scope."""
    found: Caller = connection["verbatim.caller"]  # type: ignore[typeddict-item]  # ASGI scopes take extra keys
    if scope not in found.scopes:
        raise Problem(403, "forbidden", f"This key lacks the scope {scope!r}.", allowed=sorted(found.scopes))
    return found


class Authentication:
    """Puts the `Caller` into the scope of every request and WebSocket to what is anybody's own, or refuses it.

    Without a `pool` no keys are asked for, and who calls is everybody, but for pages and names of other sites than `origins`.
    """

    def __init__(self, pool: Pool | None, rate: RateLimit | None = None, origins: tuple[str, ...] = ()) -> None:
        self._callers = None if pool is None else Reads(pool, _callers)
        self._rate = rate
        self._origins = origins

    def __call__(self, app: ASGIApp) -> ASGIApp:
        """`app` for those who may use it."""

        async def authenticated(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].startswith(_GUARDED):
                try:
                    found = await self._caller(scope)
                    if self._rate is not None:
                        await self._rate.take(found.key_id)
                except (Problem, *AWAY) as error:
                    if scope["type"] != ScopeType.WEBSOCKET:
                        raise
                    await deny(error if isinstance(error, Problem) else unavailable("database"), send)
                    return
                scope["verbatim.caller"] = found  # type: ignore[typeddict-unknown-key]  # ASGI scopes take extra keys
            await app(scope, receive, send)

        return authenticated

    async def _caller(self, scope: Scope) -> Caller:
        if self._callers is not None:
            return await _identified(self._callers, _key(scope))
        origin.check_host(scope, self._origins)
        if scope["type"] == ScopeType.HTTP and scope["method"] not in _READING:
            origin.check(scope, self._origins)
        return EVERYBODY


async def _identified(callers: Reads[bytes, Caller], key: str) -> Caller:
    found = await callers.get(digest(key)) if key.startswith(PREFIX) else None
    if found is None:
        raise Problem(
            401,
            "unauthorized",
            "Send a valid API key as 'Authorization: Bearer vb_…'.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return found


async def _callers(connection: Connection, digests: Collection[bytes]) -> dict[bytes, Caller]:
    rows = await connection.fetch(_FIND_KEYS, list(digests))
    return {row["hash"]: Caller(row["tenant"], frozenset(row["scopes"]), row["id"]) for row in rows}


def _key(scope: Scope) -> str:
    """The key that the connection shows, else an empty text; a browser's WebSocket cannot send headers and offers it as a subprotocol."""
    kind, _, key = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1").partition(" ")
    if kind.lower() == "bearer":
        return key
    offered = scope["subprotocols"] if scope["type"] == ScopeType.WEBSOCKET else []
    return next((name.removeprefix(KEY_SUBPROTOCOL) for name in offered if name.startswith(KEY_SUBPROTOCOL)), "")


def digest(key: str) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(key.encode()).digest()


async def create_key(
    connection: Connection, *, tenant: str, name: str, scopes: tuple[str, ...], expires_in: timedelta | None = None
) -> str:
    """A new key, returned this once and stored only as its digest."""
    key = PREFIX + secrets.token_urlsafe(32)
    await connection.execute(
        "insert into api_keys (id, tenant, name, hash, scopes, expires_at) values ($1, $2, $3, $4, $5, now() + $6::interval)",
        ids.new(),
        tenant,
        name,
        digest(key),
        list(scopes),
        expires_in,
    )
    return key
