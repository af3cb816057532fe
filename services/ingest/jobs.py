"""Submitting a job and following it: thin, over `common.jobs`."""

from functools import partial
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath

from common.database import Pool
from common.ids import JobId
from common.jobs import removal, store
from common.jobs.document import JobDocument
from common.jobs.job import Receipt
from common.jobs.watch import Watch
from services.ingest import entering, query
from services.ingest.auth import caller
from services.ingest.conditional import Conditional
from services.ingest.documentation import SUBMIT
from services.ingest.existing import there
from services.ingest.idempotency import REPLAYED
from services.ingest.places import Places
from services.ingest.problems import Problem
from services.ingest.reads import Reads
from services.ingest.refusals import MISSING, REFUSALS, UNCHANGED, refusals
from services.ingest.submission import Submissions
from services.ingest.taking import asking
from services.ingest.waiting import MAX_SECONDS, until_changed


class ReadQuery(msgspec.Struct, frozen=True):
    """How long to wait."""

    wait: Annotated[float, msgspec.Meta(ge=0, le=MAX_SECONDS, description="Seconds in which a change of status is waited for")] = 0


def handlers(submissions: Submissions, pool: Pool, watch: Watch, places: Places) -> list[HTTPRouteHandler]:
    """Submitting and reading under `/api/v1/jobs`."""
    reads = Reads(pool, store.get_many)

    @post(
        "/",
        status_code=202,
        summary="Submit a recording",
        operation_class=SUBMIT,
        request_max_body_size=None,
        responses={202: ResponseSpec(JobDocument, description="Stored and queued", generate_examples=False)}
        | REFUSALS
        | refusals(
            {
                400: "The body is not readable",
                404: "There is no such upload; the job of this Idempotency-Key was deleted",
                408: "No bytes came for thirty seconds",
                409: "A request with this Idempotency-Key is still being carried out; the upload is not complete, or a job was made of it",
                410: "The store has lost the upload",
                413: "Larger than the limit",
                415: "Neither audio nor video",
                423: "Another request works on the upload",
                422: "A field is missing or invalid; the source cannot be fetched; the Idempotency-Key was used for another request",
            }
        ),
    )
    async def submit(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Stream a recording in as multipart/form-data, or say in JSON where it lies; the answer comes as soon as it is stored and queued.

        With an `Idempotency-Key` a submission can be sent again without making a second job: for a day each copy gets the first answer, or
        is told what has become of the job.
        """
        accepted = await entering.submit(submissions, request)
        headers = {"Location": f"/api/v1/jobs/{accepted.job_id}"} | ({REPLAYED: "true"} if accepted.replayed else {})
        return Response(accepted.body, status_code=202, media_type="application/json", headers=headers)

    @get(
        "/{job_id:uuid}",
        summary="Read a job",
        operation_class=asking(*query.parameters(ReadQuery)),
        response_class=Conditional,
        responses=REFUSALS | MISSING | UNCHANGED | refusals({422: "A parameter is invalid"}),
    )
    async def read(request: Request[Any, Any, Any], job_id: FromPath[UUID]) -> JobDocument:
        """The job as it stands; with `wait`, as soon as its status changes or after that many seconds."""
        wait = query.asked(request, ReadQuery).wait
        read_now = partial(reads.get, (JobId(job_id), caller(request, "read").tenant))
        job = there(job_id, await (until_changed(watch, JobId(job_id), read_now, wait) if wait else read_now()))
        return await places.document(pool, job)

    @get("/{job_id:uuid}/receipt", summary="Read what was deleted", responses=REFUSALS | refusals({404: "Nothing was deleted"}))
    async def read_receipt(request: Request[Any, Any, Any], job_id: FromPath[UUID]) -> Receipt:
        """What was deleted of a job that has expired or was deleted, and when; for as long as tombstones are kept."""
        tenant = caller(request, "read").tenant
        async with pool.acquire() as connection:
            receipt = await removal.receipt_of(connection, JobId(job_id), tenant)
        if receipt is None:
            raise Problem(
                404, "receipt_not_found", f"There is no receipt for a job {job_id}; it has neither expired nor been deleted, or long ago."
            )
        return receipt

    return [submit, read, read_receipt]
