"""HEAD wherever GET is, as HTTP asks for (RFC 9110, 9.3.2): the same answer without its body.

It is made as for GET, so that its headers are the very same ones, length and tag included, and is over with them: a stream of events has no
end that a HEAD could wait for. What speaks of HEAD in its own words (tus) is left to do so.
"""

from collections.abc import Iterable

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send


def with_head(app: ASGIApp, *, but: str) -> ASGIApp:
    """`app`, which need not know of HEAD, except under the path `but`."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["method"] != "HEAD" or scope["path"].startswith(but):
            await app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                scope["method"] = "HEAD"  # for the server, which looks whether bytes may follow
                await send(message)
                # With this the server says that the client has left, at which streams end.
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        scope["method"] = "GET"
        try:
            await app(scope, receive, answer)
        finally:
            scope["method"] = "HEAD"

    return wrapped


def allow(methods: Iterable[str]) -> str:
    """An `Allow` header, for what takes these `methods`."""
    found = set(methods)
    return ", ".join(sorted(found | {"HEAD"} if "GET" in found else found))
