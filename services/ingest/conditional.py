"""Answers that need not be sent again: an ETag on each 200, and 304 for a client that has it already (RFC 9110, 13.1.2).

The tag is a digest of the very bytes of the answer, so it is never wrong, whatever made them change.
"""

import hashlib
from typing import cast

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPResponseBodyEvent, HTTPResponseStartEvent, Message, Receive, Scope, Send

_KEPT = (b"etag", b"cache-control", b"vary")


class Conditional(ASGIMiddleware):
    """For handlers whose answers are made in one piece; what is streamed passes through unchanged."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        wanted = dict(scope["headers"]).get(b"if-none-match", b"").decode("latin-1")
        held: HTTPResponseStartEvent | None = None

        async def answer(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and message["status"] == 200:
                held = message
                return
            if held is not None:
                start, held = held, None
                body = cast("HTTPResponseBodyEvent", message)
                if not body["more_body"] and _tagged(start, body["body"], wanted):
                    body["body"] = b""
                await send(start)
            await send(message)

        await next_app(scope, receive, answer)


def _tagged(start: HTTPResponseStartEvent, body: bytes, wanted: str) -> bool:
    """Tag the answer; True when it became a 304."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    # The answer may be kept by who asked, and must be asked for again.
    start["headers"] = [*start["headers"], (b"etag", tag.encode()), (b"cache-control", b"private, no-cache")]
    if not matches(tag, wanted):
        return False
    start["status"] = 304
    start["headers"] = [(name, value) for name, value in start["headers"] if name.lower() in _KEPT]
    return True


def matches(tag: str, wanted: str) -> bool:
    """Whether an `If-None-Match` header names the tag, by the weak comparison that it asks for."""
    return wanted.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in wanted.split(","))
