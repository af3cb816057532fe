"""Refusals in OpenAI's words, so that its clients raise the exceptions that they would there.

Made of the native answers, so that what is a problem is decided in one place. OpenAI has no 415 and no 422: what is wrong with a request is
a 400. Its clients try 409, 429 and every 5xx again by themselves; where a job has been tried already, they are told not to.
"""

from collections.abc import Callable
from typing import Any

from litestar import Request, Response

from services.ingest import problems
from services.ingest.call import RETRY, request_id
from services.ingest.problems import Problem

_BAD_REQUEST = frozenset({415, 422})
_CODES = {"unauthorized": "invalid_api_key", "rate_limited": "rate_limit_exceeded"}
_SERVER = "server_error"


def document(problem: Problem) -> dict[str, Any]:
    """The body of a refusal."""
    return _reworded(problems.document(problem))[1]


def _reworded(native: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Status and body. A job that failed tells its own reason; the recording's fault is the caller's."""
    failure = native.get("job_error")
    if failure is None:
        status, code, message = native["status"], _CODES.get(native["code"], native["code"]), native["detail"]
    else:
        status, code, message = 500 if failure["retryable"] else 400, failure["code"], failure["message"]
    status = 400 if status in _BAD_REQUEST else status
    about = {name: native[name] for name in ("job_id",) if name in native}
    return status, {"error": {"message": message, "type": _kind(status), "param": native.get("field"), "code": code, **about}}


def _kind(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return _SERVER if status >= 500 else "invalid_request_error"


def _rewording(native: Callable[[Request[Any, Any, Any], Any], Response[dict[str, Any]]]) -> Callable[..., Response[dict[str, Any]]]:
    def handle(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
        answer = native(request, error)
        status, body = _reworded(answer.content)
        tried = {RETRY: "false"} if "job_id" in answer.content else {}
        return Response(body, status_code=status, headers={**tried, **answer.headers, **request_id()})

    return handle


HANDLERS: dict[Any, Any] = {kind: _rewording(native) for kind, native in problems.HANDLERS.items()}
