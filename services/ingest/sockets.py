"""Watching a job by WebSocket: the same as the server-sent events, a message each.

Refusals come before the handshake is accepted, as HTTP answers with a problem for a body. The client has nothing to say: a message from it
ends the connection, as does its going away.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import msgspec
from litestar import Response, WebSocket, get, websocket
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath
from litestar.types import Receive, Send, WebSocketScope

from common.database import AWAY, Pool
from common.jobs.state import JobState
from services.ingest import origin
from services.ingest.auth import caller_in
from services.ingest.feeds import Feeds, News
from services.ingest.problems import Problem, deny, unavailable
from services.ingest.refusals import MISSING, refusals
from services.ingest.sessions import Sessions
from services.ingest.watching import revision, unseen, watched

SUBPROTOCOL = "verbatim.v1"
"""What the server answers to a client that offers subprotocols, as one that offers its key must."""

_UPGRADE = refusals({401: "No valid key", 426: "The request is no WebSocket handshake", 503: "A dependency is away"}) | MISSING
_NORMAL, _NOT_ALLOWED, _RESTART = 1000, 1008, 1012


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a server-sent event has in its fields; `data` is a `Change`, or without an `id` a `PartialSegment`."""

    id: int | None = None
    type: str
    data: msgspec.Raw


def handlers(pool: Pool, feeds: Feeds, sessions: Sessions, origins: Sequence[str] = ()) -> list[BaseRouteHandler]:
    """`/api/v1/jobs/{id}/ws`; pages from `origins` may open it too, as they may do all else."""

    @websocket("/{job_id:uuid}/ws")
    async def ws(socket: WebSocket[Any, Any, Any], job_id: FromPath[UUID]) -> None:
        scope, receive, send = socket.scope, socket.receive, socket.send
        try:
            origin.check(scope, origins)
            who = caller_in(scope, "read")
            known = await watched(pool, feeds, job_id, who.tenant)
        except Problem as problem:
            await deny(problem, send)
        except AWAY:
            await deny(unavailable("database"), send)
        else:
            await receive()  # websocket.connect
            with sessions.opened(who.key_id) as over:
                await _converse(feeds, known, who.tenant, over, scope, receive, send)

    @get("/{job_id:uuid}/ws", summary="Watch a job by WebSocket", status_code=426, responses=_UPGRADE)
    async def not_a_socket(job_id: FromPath[UUID]) -> Response[None]:  # noqa: ARG001 - the path has it
        """The events of `/events` as WebSocket messages: `{"id", "type", "data"}`, without `id` for a `segment`; `?last_event_id=` resumes.

        A client that cannot send an Authorization header offers the subprotocols `verbatim.v1` and `bearer.<key>`.
        """
        raise Problem(426, "upgrade_required", "This address is for WebSockets.", headers={"Upgrade": "websocket"})

    return [ws, not_a_socket]


async def _converse(
    feeds: Feeds, known: JobState, tenant: str, over: asyncio.Event, scope: WebSocketScope, receive: Receive, send: Send
) -> None:
    chosen = SUBPROTOCOL if SUBPROTOCOL in scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": chosen, "headers": []})
    telling = asyncio.create_task(_tell(feeds, known, tenant, _last(scope), over, send), name="websocket-tell")
    hearing = asyncio.create_task(_hear(receive), name="websocket-hear")
    try:
        await asyncio.wait((telling, hearing), return_when=asyncio.FIRST_COMPLETED)
        if not hearing.done():
            await send({"type": "websocket.close", "code": telling.result(), "reason": ""})
        elif hearing.result():
            await send({"type": "websocket.close", "code": _NOT_ALLOWED, "reason": "There is nothing to say here."})
    except OSError:
        return  # the client left while it was told
    finally:
        for task in (telling, hearing):
            task.cancel()
        await asyncio.gather(telling, hearing, return_exceptions=True)


async def _tell(feeds: Feeds, known: JobState, tenant: str, seen: int | None, over: asyncio.Event, send: Send) -> int:
    """Send all there is to tell; returns the code to close with."""
    ended = known.status.final
    async with aclosing(unseen(feeds, known, tenant, seen, over)) as following:
        async for kind, news in following:
            if news is not None:  # the server's pings are the heartbeat
                message = Message(type=kind, data=msgspec.Raw(news.data))
                if isinstance(news, News):
                    ended = news.change.final
                    message = msgspec.structs.replace(message, id=news.id)
                await send({"type": "websocket.send", "text": msgspec.json.encode(message).decode(), "bytes": None})
    if ended:
        return _NORMAL
    return _NOT_ALLOWED if over.is_set() else _RESTART


async def _hear(receive: Receive) -> bool:
    """Whether the client said something (it need not have); else it has left."""
    message: Any = await receive()
    return bool(message["type"] == "websocket.receive")


def _last(scope: WebSocketScope) -> int | None:
    [text, *_] = parse_qs(scope["query_string"].decode("latin-1")).get("last_event_id", [""])
    return revision(text)
