"""What happens to every request before and after the framework: its span, count, safety headers, and end if the server ends first.

It wraps the framework from outside so that even a refusal made by a middleware has the trace id that its body shows.
"""

import asyncio
from collections.abc import Iterable
from functools import cache

from litestar.enums import ScopeType
from litestar.routes import BaseRoute, HTTPRoute
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from opentelemetry.trace import Span
from prometheus_client import Counter

from common import tracing
from services.ingest import head
from services.ingest.problems import Problem, refuse

_REQUESTS = Counter("verbatim_http_requests_total", "HTTP requests answered", ["method", "status"])
_SAFETY = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
_QUIET = ("/health", "/metrics")
_CUT_OFF = Problem(
    503, "restarting", "The server restarts and could not wait for the end of this request; send it again.", headers={"Retry-After": "5"}
)


def edge(app: ASGIApp, routes: Iterable[BaseRoute]) -> ASGIApp:
    """`app` with all of it; health checks and scrapes are neither traced nor counted."""
    # The framework's own answer to OPTIONS names only the methods of the first handler that was registered for a path.
    allowed = {route.path_format: head.allow(route.methods).encode() for route in routes if isinstance(route, HTTPRoute)}

    def safely(scope: HTTPScope, send: Send, span: Span | None = None) -> Send:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                scope["verbatim.answered"] = True  # type: ignore[typeddict-unknown-key]  # ASGI scopes take extra keys
                status, present = message["status"], [*message["headers"]]
                if span is not None:
                    _note(span, scope, status)
                if status == 204 and scope["method"] == "OPTIONS" and scope.get("path_template") in allowed:
                    present = [*(each for each in present if each[0].lower() != b"allow"), (b"allow", allowed[scope["path_template"]])]
                message["headers"] = [*present, *_missing(present)]
            await send(message)

        return answer

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        if path.startswith(_QUIET):
            await app(scope, receive, safely(scope, send))
            return
        parent = dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1") or None
        attributes = {"http.request.method": method, "url.path": path}
        with tracing.span(method, kind="server", parent=parent, **attributes) as span:
            await _attended(app, scope, receive, safely(scope, send, span))

    return wrapped


async def _attended(app: ASGIApp, scope: HTTPScope, receive: Receive, send: Send) -> None:
    try:
        await app(scope, receive, send)
    except asyncio.CancelledError:
        # The server has waited for it as long as it does when it stops, and the task ends here anyway.
        if "verbatim.answered" not in scope:
            await refuse(_CUT_OFF, send)


def _note(span: Span, scope: HTTPScope, status: int) -> None:
    _counted(scope["method"], status).inc()
    if not span.is_recording():
        return
    span.set_attribute("http.response.status_code", status)
    if "path_template" in scope:  # once it is known; spans of one operation share a name
        span.set_attribute("http.route", scope["path_template"])
        span.update_name(f"{scope['method']} {scope['path_template']}")
    if status >= 500:
        tracing.failed(span, str(status), "server error")


@cache
def _counted(method: str, status: int) -> Counter:
    return _REQUESTS.labels(method, status)


def _missing(present: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    names = {name.lower() for name, _ in present}
    return [(name, value) for name, value in _SAFETY if name not in names]
