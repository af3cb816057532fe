"""A request that submits a recording: one way in for every API, so that limits, keys and refusals are the same at each."""

from typing import Any

from litestar import Request

from services.ingest.auth import caller
from services.ingest.body import announced, streamed
from services.ingest.form import Fields
from services.ingest.submission import Accepted, Submissions

KEY = "idempotency-key"


async def submit(submissions: Submissions, request: Request[Any, Any, Any], fields: Fields | None = None) -> Accepted:
    """Queue a job for the recording in the request's body; `fields` are those of another API than the native one. Raises `Problem`."""
    return await submissions.accept(
        streamed(request),
        content_type=request.headers.get("content-type", ""),
        content_length=announced(request),
        tenant=caller(request, "write").tenant,
        key=request.headers.get(KEY),
        fields=fields,
    )
