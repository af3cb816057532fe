"""The native API's job routes: thin, over `common.jobs`."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.exceptions import InternalServerException
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Parameter

from common import transcript
from common.database import Pool
from common.errors import PermanentError
from common.ids import JobId
from common.jobs import store
from common.jobs.document import JobDocument, public
from common.jobs.job import Job, Status
from common.jobs.watch import Watch
from common.storage import Storage
from services.ingest import rendering
from services.ingest.auth import caller
from services.ingest.documentation import SubmitOperation
from services.ingest.idempotency import REPLAYED
from services.ingest.problems import Problem
from services.ingest.refusals import MISSING, REFUSALS, refusals
from services.ingest.submission import Submissions
from services.ingest.waiting import MAX_SECONDS, until_changed

_RETRY_SECONDS = 2


class JobPage(msgspec.Struct, frozen=True):
    """Newest first; `next_cursor` is null on the last page."""

    jobs: list[JobDocument]
    next_cursor: str | None


def handlers(submissions: Submissions, pool: Pool, storage: Storage, watch: Watch) -> list[HTTPRouteHandler]:
    """Submitting and reading under `/api/v1/jobs`."""

    async def find(job_id: UUID, request: Request[Any, Any, Any]) -> Job:
        async with pool.acquire() as connection:
            job = await store.get(connection, JobId(job_id), caller(request, "read").tenant)
        if job is None:
            raise Problem(404, "job_not_found", f"There is no job {job_id}.")
        return job

    @post(
        "/",
        status_code=202,
        summary="Submit a recording",
        operation_class=SubmitOperation,
        request_max_body_size=None,
        responses={202: ResponseSpec(JobDocument, description="Stored and queued", generate_examples=False)}
        | REFUSALS
        | refusals(
            {
                400: "The body is not readable",
                409: "A request with this Idempotency-Key is still being carried out",
                413: "Larger than the limit",
                415: "Neither audio nor video",
                422: "A field is missing or invalid; the source cannot be fetched; the Idempotency-Key was used for another request",
            }
        ),
    )
    async def submit(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Stream a recording in as multipart/form-data, or say in JSON where it lies; the answer comes as soon as it is stored and queued.

        With an `Idempotency-Key` a submission can be sent again without making a second job: for 24 hours each copy gets the first answer.
        """
        accepted = await submissions.accept(
            _body(request),
            content_type=request.headers.get("content-type", ""),
            content_length=_length(request),
            tenant=caller(request, "write").tenant,
            key=request.headers.get("idempotency-key"),
        )
        headers = {"Location": f"/api/v1/jobs/{accepted.job_id}"} | ({REPLAYED: "true"} if accepted.replayed else {})
        return Response(accepted.body, status_code=202, media_type="application/json", headers=headers)

    @get("/", summary="List jobs", responses=REFUSALS)
    async def list_jobs(
        request: Request[Any, Any, Any],
        status: Status | None = None,
        cursor: UUID | None = None,
        limit: Annotated[int, Parameter(ge=1, le=200)] = 50,
    ) -> JobPage:
        """Jobs of the caller's tenant, newest first, a page at a time."""
        async with pool.acquire() as connection:
            jobs = await store.list_page(
                connection,
                caller(request, "read").tenant,
                status=status,
                before=None if cursor is None else JobId(cursor),
                limit=limit + 1,
            )
        page = jobs[:limit]
        return JobPage([public(job) for job in page], str(page[-1].id) if len(jobs) > limit else None)

    @get("/{job_id:uuid}", summary="Read a job", responses=REFUSALS | MISSING)
    async def read(
        request: Request[Any, Any, Any], job_id: UUID, wait: Annotated[float, Parameter(ge=0, le=MAX_SECONDS)] = 0
    ) -> JobDocument:
        """The job as it stands; with `wait`, as soon as its status changes or after that many seconds."""
        job = await find(job_id, request)
        if wait:
            tenant = job.tenant

            async def reread() -> Job | None:
                async with pool.acquire() as connection:
                    return await store.get(connection, JobId(job_id), tenant)

            job = await until_changed(watch, JobId(job_id), reread, wait) or job
        return public(job)

    @get(
        "/{job_id:uuid}/transcript",
        summary="Read the transcript",
        responses=REFUSALS
        | MISSING
        | refusals({202: "Not ready yet", 409: "The job failed or was cancelled", 410: "The result has expired"}),
    )
    async def read_transcript(
        request: Request[Any, Any, Any],
        job_id: UUID,
        format: Annotated[rendering.Format | None, Parameter(description="Default: by the Accept header, else json")] = None,  # noqa: A002 - the parameter's public name
    ) -> Response[bytes]:
        """The transcript in the format asked for."""
        job = await find(job_id, request)
        chosen = format or rendering.negotiate(request.headers.get("accept", ""))
        try:
            document = transcript.decode(await storage.get(_transcript_key(job)))
        except PermanentError:  # the bytes go before the row says so
            raise _expired() from None
        return Response(rendering.render(document, chosen), media_type=rendering.MEDIA_TYPES[chosen])

    return [submit, list_jobs, read, read_transcript]


def _transcript_key(job: Job) -> str:
    """Where the job's transcript lies. Raises the `Problem` that says why there is none."""
    match job.status:
        case Status.COMPLETED if job.result is not None:
            return job.result.keys["transcript"]
        case Status.EXPIRED:
            raise _expired()
        case Status.FAILED if job.error is not None:
            raise Problem(409, "job_failed", f"The job failed: {job.error.message}", job_error=msgspec.to_builtins(job.error))
        case Status.CANCELLED:
            raise Problem(409, "job_cancelled", "The job was cancelled.")
        case _:
            raise Problem(
                202,
                "not_ready",
                f"The job is {job.status.value}; the transcript is there once it is completed.",
                headers={"Retry-After": str(_RETRY_SECONDS)},
                job_status=job.status.value,
                progress=round(job.progress, 1),
            )


def _expired() -> Problem:
    return Problem(410, "result_expired", "The result has expired and was deleted.")


async def _body(request: Request[Any, Any, Any]) -> AsyncGenerator[bytes, None]:
    """The request's bytes; a client that goes away is the client's doing, not the server's."""
    try:
        async for chunk in request.stream():
            yield chunk
    except InternalServerException:
        raise Problem(400, "client_disconnected", "The client went away before the end of the body.") from None


def _length(request: Request[Any, Any, Any]) -> int | None:
    text = request.headers.get("content-length", "")
    return int(text) if text.isdecimal() else None
