"""Every refusal as RFC 9457 `application/problem+json`: a stable code, a sentence that says what to do, and what helps to act.

All exceptions are mapped here and nowhere else. What is not foreseen becomes a 500 whose body says nothing of the inside; its log line
has the trace id that the body shows.
"""

import asyncio
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import Send

from common import tracing
from common.database import AWAY
from common.errors import TransientError
from common.jobs.options import OptionError
from common.room import NoRoom
from services.ingest.head import allow

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
_RETRY_SECONDS = 5
_TITLES = {460: "Checksum Mismatch"}  # tus' own


class Problem(Exception):
    """A refusal; `extra` members go into the body, `headers` into the answer."""

    def __init__(self, status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, **extra: Any) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.extra = extra


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The members that every problem has (others may follow); for the OpenAPI document."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    trace_id: str | None = None
    field: str | None = None
    limit: float | None = None
    allowed: list[str] | None = None


def title(status: int) -> str:
    """What a status is called."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


def unavailable(what: str) -> Problem:
    """503: a dependency is away."""
    return Problem(
        503,
        f"{what}_unavailable",
        f"The {what} is not reachable at the moment; nothing was lost, try again in a few seconds.",
        headers={"Retry-After": str(_RETRY_SECONDS)},
    )


def too_large(limit: int) -> Problem:
    """413. What the client still sends is read and thrown away: closing at once could cost it the answer."""
    return Problem(413, "too_large", f"The submission is larger than the limit of {limit} bytes.", limit=limit)


def invalid_option(error: OptionError) -> Problem:
    """422, by the option's name."""
    choice: dict[str, Any] = {"allowed": [*error.allowed]} if error.allowed else {}
    return Problem(422, "invalid_option", str(error), field=error.field, **choice)


def respond(problem: Problem) -> Response[dict[str, Any]]:
    """The answer to a problem."""
    return Response(document(problem), status_code=problem.status, media_type=MEDIA_TYPE, headers=problem.headers)


async def refuse(problem: Problem, send: Send, *, kind: str = "http.response") -> None:
    """The same answer where there is no framework to send it."""
    body = msgspec.json.encode(document(problem))
    headers = {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(body)), **problem.headers}
    start: Any = {
        "type": f"{kind}.start",
        "status": problem.status,
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    await send(start)
    whole: Any = {"type": f"{kind}.body", "body": body}
    await send(whole)


async def deny(problem: Problem, send: Send) -> None:
    """The same answer to a WebSocket's handshake, which the client then sees refused."""
    await refuse(problem, send, kind="websocket.http.response")
    await asyncio.sleep(0)  # uvicorn closes the connection in the loop's next round; one who returns before that is logged as an error


def document(problem: Problem) -> dict[str, Any]:
    """The body."""
    return {
        "type": f"urn:verbatim:problem:{problem.code}",
        "title": title(problem.status),
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "trace_id": tracing.current_trace_id(),
        **problem.extra,
    }


def on_problem(_request: Request[Any, Any, Any], error: Problem) -> Response[dict[str, Any]]:
    """Ours."""
    return respond(error)


def on_option_error(_request: Request[Any, Any, Any], error: OptionError) -> Response[dict[str, Any]]:
    """An option that only the database could tell to be wrong."""
    return respond(invalid_option(error))


_FRAMEWORKS = {
    400: ("malformed_request", "The request cannot be read; /schema tells what it may be."),
    404: ("not_found", "There is nothing at this address; /schema lists what there is."),
    405: ("method_not_allowed", "This address does not take that method; Allow names those that it takes."),
    413: ("too_large", "The body is larger than this operation takes."),
}


def on_http_exception(_request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    """The framework's own, in words of ours: its texts are not made for strangers."""
    status = error.status_code
    code, detail = _FRAMEWORKS.get(status) or (("server_error", "The server failed.") if status >= 500 else ("refused", title(status)))
    extra = {"errors": error.extra} if isinstance(error.extra, list) else {}
    headers = dict(error.headers or {})
    if "allow" in headers:
        headers["allow"] = allow(headers["allow"].split(", "))
    return respond(Problem(status, code, detail, headers=headers, **extra))


def on_transient(_request: Request[Any, Any, Any], error: TransientError) -> Response[dict[str, Any]]:
    """Storage is away, or there is no room for what is on its way there."""
    if isinstance(error, NoRoom):
        return respond(Problem(503, "too_busy", error.message, headers={"Retry-After": str(_RETRY_SECONDS)}))
    log.warning("dependency away", code=error.code, error=error.message)
    return respond(unavailable("storage"))


def on_error(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """Anything else. Postgres being away is told apart from our own mistakes."""
    if isinstance(error, AWAY):
        log.warning("database away", error=repr(error))
        return respond(unavailable("database"))
    log.error("unexpected error", path=request.url.path, exc_info=error)
    return respond(Problem(500, "server_error", "The server made a mistake; it has been logged under this trace id."))


HANDLERS: dict[Any, Any] = {
    Problem: on_problem,
    OptionError: on_option_error,
    HTTPException: on_http_exception,
    TransientError: on_transient,
    Exception: on_error,
}
