"""Which web pages may call the API from a browser: none, unless `CORS_ALLOW_ORIGINS` names where they come from.

Keys travel in a header and never as cookies, so no page can spend what a browser keeps: credentials are not allowed, even to `*`. It lies
around the whole application, so that tus' own answers and refusals of any kind can be read by a page like all others.
"""

from collections.abc import Sequence

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from services.ingest.call import JOB_ID, REQUEST_ID
from services.ingest.idempotency import REPLAYED

# What a page may read of an answer beside its body.
_EXPOSED = (
    "ETag",
    "Location",
    "Retry-After",
    REPLAYED,
    JOB_ID,
    REQUEST_ID,
    "Tus-Resumable",
    "Tus-Version",
    "Tus-Extension",
    "Tus-Max-Size",
    "Tus-Checksum-Algorithm",
    "Upload-Offset",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Expires",
)
_EXPOSE = (b"access-control-expose-headers", ", ".join(_EXPOSED).encode())
_METHODS = (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
_MAX_AGE = (b"access-control-max-age", b"600")
_ASKS_METHOD, _ASKS_HEADERS = b"access-control-request-method", b"access-control-request-headers"


def cors(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """`app` for pages from `origins`, of which `*` is every one."""
    if not origins:
        return app
    everybody = "*" in origins
    named = {origin.encode() for origin in origins}
    # An answer to one origin must not be served to another by a cache. A header of its own: there may be a Vary that says more.
    vary = [] if everybody else [(b"vary", b"Origin")]

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        asked = dict(scope["headers"])
        origin = asked.get(b"origin", b"")
        let_in = [(b"access-control-allow-origin", b"*" if everybody else origin)] if origin and (everybody or origin in named) else []
        if scope["method"] == "OPTIONS" and origin and _ASKS_METHOD in asked:
            told = [*let_in, _METHODS, (b"access-control-allow-headers", asked.get(_ASKS_HEADERS, b"")), _MAX_AGE] if let_in else []
            await send({"type": "http.response.start", "status": 204, "headers": [*told, *vary]})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *let_in, *([_EXPOSE] if let_in else []), *vary]
            await send(message)

        await app(scope, receive, answer)

    return wrapped
