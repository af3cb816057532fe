"""What came of a job: its transcript in any format, and the recording itself."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from common import rendering, transcript
from common.database import Pool
from common.errors import PermanentError
from common.jobs.job import TRANSCRIPT, Job, Result, Status
from common.rendering.layout import Layout
from common.storage import Storage
from services.ingest import query
from services.ingest.auth import caller
from services.ingest.conditional import Conditional
from services.ingest.existing import find_job
from services.ingest.problems import Problem
from services.ingest.refusals import MISSING, REFUSALS, UNCHANGED, refusals
from services.ingest.taking import asking

LINK_LIFETIME = timedelta(minutes=5)

_RETRY_SECONDS = 2


_FORMAT = query.parameter(
    "format", Annotated[rendering.Format, msgspec.Meta(description="By the Accept header when it is left out, else json")]
)


def handlers(pool: Pool, storage: Storage) -> list[HTTPRouteHandler]:
    """`/api/v1/jobs/{id}/transcript` and `/audio`."""

    @get(
        "/{job_id:uuid}/transcript",
        summary="Read the transcript",
        operation_class=asking(_FORMAT, *query.parameters(Layout)),
        response_class=Conditional,
        responses=REFUSALS
        | MISSING
        | UNCHANGED
        | refusals(
            {202: "Not ready yet", 409: "The job failed or was cancelled", 410: "The result has expired", 422: "A parameter is invalid"}
        ),
    )
    async def read_transcript(request: Request[Any, Any, Any], job_id: FromPath[UUID]) -> Response[bytes]:
        """The transcript in the format asked for; with `If-None-Match`, 304 when the client has it."""
        tenant = caller(request, "read").tenant
        asked = query.values(request)
        named = asked.pop("format", None)
        accept = request.headers.get("accept", "")
        chosen: rendering.Format = rendering.negotiate(accept) if named is None else query.convert("format", named, rendering.Format)
        layout = query.parse(asked, Layout, others=["format"])
        _refuse_unused(asked, chosen)
        job = await find_job(pool, job_id, tenant)
        try:
            data = await storage.get(completed(job).keys["transcript"])
        except PermanentError:  # the bytes go before the row says so
            raise _lost() if TRANSCRIPT in job.lost else expired() from None
        origin = rendering.Origin(job.options.task, job.options.temperature)
        # Hours of speech take seconds to lay out, and others must not wait for that.
        body = await asyncio.to_thread(lambda: rendering.render(transcript.decode(data), chosen, layout, origin))
        return Conditional(body, media_type=rendering.MEDIA_TYPES[chosen], headers={"Vary": "Accept"})

    @get(
        "/{job_id:uuid}/audio",
        status_code=302,
        summary="Download the recording",
        responses=REFUSALS
        | MISSING
        | refusals(
            {202: "Not redacted yet", 409: "The job that should redact it failed or was cancelled", 410: "The recording has been deleted"}
        ),
    )
    async def read_audio(request: Request[Any, Any, Any], job_id: FromPath[UUID]) -> Response[None]:
        """Leads to the recording as it was submitted, or to its redacted copy; the address works for five minutes and without a key."""
        job = await find_job(pool, job_id, caller(request, "read").tenant)
        key, filename, content_type = _recording(job)
        if job.status is Status.EXPIRED or not await storage.exists(key):
            raise Problem(410, "audio_deleted", "The recording has been deleted.")
        url = await storage.presign(key, lifetime=LINK_LIFETIME, filename=filename, content_type=content_type)
        return Response(None, status_code=302, media_type=MediaType.TEXT, headers={"Location": url})

    return [read_transcript, read_audio]


def _refuse_unused(asked: dict[str, str], chosen: rendering.Format) -> None:
    for name in asked:
        formats = rendering.formats_with(name)
        if chosen not in formats:
            raise query.invalid(name, f"{chosen} has no use for it; it is for {', '.join(formats)}")


def _recording(job: Job) -> tuple[str, str, str]:
    """Key, file name and content type of what may be heard of the job: where redaction was asked for, never the original."""
    if not job.options.redact:
        return job.source_key, job.source.filename, job.source.content_type
    return completed(job).keys["audio"], f"{Path(job.source.filename).stem or 'recording'}.redacted.mp3", "audio/mpeg"


def completed(job: Job) -> Result:
    """What came of the job. Raises the `Problem` that says why nothing has."""
    match job.status:
        case Status.COMPLETED if job.result is not None:
            return job.result
        case Status.EXPIRED:
            raise expired()
        case Status.FAILED if job.error is not None:
            raise Problem(409, "job_failed", f"The job failed: {job.error.message}", job_error=msgspec.to_builtins(job.error))
        case Status.CANCELLED:
            raise Problem(409, "job_cancelled", "The job was cancelled.")
        case _:
            raise Problem(
                202,
                "not_ready",
                f"The job is {job.status.value}; its result is there once it is completed.",
                headers={"Retry-After": str(_RETRY_SECONDS)},
                job_status=job.status.value,
                progress=round(job.progress, 1),
            )


def _lost() -> Problem:
    return Problem(410, "result_lost", "The store no longer has the result, though its time is not over; submit the recording again.")


def expired() -> Problem:
    """410."""
    return Problem(410, "result_expired", "The result has expired and was deleted.")
