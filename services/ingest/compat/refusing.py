"""Refusals in the earlier services' words: `{"detail": "Job not found"}`, and the `code` that every refusal has here.

Made of the native answers, so that what is a problem is decided in one place. Where a document gives a status or a sentence, they are its
own; the others keep theirs.
"""

from collections.abc import Callable
from typing import Any

from litestar import Request, Response

from services.ingest import problems
from services.ingest.problems import Problem

_WORDS: dict[str, tuple[int, str | None]] = {
    "job_not_found": (404, "Job not found"),
    "result_expired": (404, "Job not found"),
    "too_large": (400, None),
    "unsupported_media_type": (400, None),
    "empty_file": (400, None),
}
"""By code: the status, and the sentence where it is the document's; else the sentence is the problem's."""


def document(problem: Problem) -> dict[str, Any]:
    """The body of a refusal."""
    return _reworded(problems.document(problem))[1]


def _reworded(native: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Status and body. A job that failed tells its own reason; the recording's fault is the caller's."""
    failure = native.get("job_error")
    if failure is not None:
        status, code, detail = 500 if failure["retryable"] else 400, failure["code"], failure["message"]
    else:
        code = native["code"]
        status, sentence = _WORDS.get(code, (native["status"], None))
        detail = sentence or native["detail"]
    about = {name: native[name] for name in ("job_id",) if name in native}
    return status, {"detail": detail, "code": code, **about}


def _rewording(native: Callable[[Request[Any, Any, Any], Any], Response[dict[str, Any]]]) -> Callable[..., Response[dict[str, Any]]]:
    def handle(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
        answer = native(request, error)
        status, body = _reworded(answer.content)
        return Response(body, status_code=status, headers=dict(answer.headers))

    return handle


HANDLERS: dict[Any, Any] = {kind: _rewording(native) for kind, native in problems.HANDLERS.items()}
