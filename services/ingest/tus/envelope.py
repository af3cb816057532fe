"""What tus asks of every answer and every request, whichever handler it reaches: said once, around the application.

OPTIONS tells what the server can do, and needs no key. Clients that cannot send PATCH or DELETE send POST and say so in a header.
"""

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from services.ingest.tus import headers

PATH = "/files"
_OVERRIDE = b"x-http-method-override"
_METHODS = (b"PATCH", b"DELETE", b"HEAD")


def envelope(app: ASGIApp, *, limit: int) -> ASGIApp:
    """`app`, of which what is under `PATH` speaks tus."""
    version = (b"tus-resumable", headers.VERSION.encode())
    abilities = [
        version,
        (b"tus-version", headers.VERSION.encode()),
        (b"tus-extension", ",".join(headers.EXTENSIONS).encode()),
        (b"tus-max-size", str(limit).encode()),
        (b"tus-checksum-algorithm", ",".join(headers.ALGORITHMS).encode()),
    ]

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or not (scope["path"] == PATH or scope["path"].startswith(f"{PATH}/")):
            await app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], version]
            await send(message)

        asked = dict(scope["headers"])
        if scope["method"] == "OPTIONS":
            await send({"type": "http.response.start", "status": 204, "headers": abilities})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        wanted = asked.get(_OVERRIDE, b"").upper()
        if scope["method"] == "POST" and wanted in _METHODS:
            scope["method"] = wanted.decode()  # type: ignore[typeddict-item]  # one of three that are methods
        await app(scope, receive, answer)

    return wrapped
