"""What a client may do to a job after its submission: cancel it, have it tried again, delete it.

Each is idempotent: asking for what is already so gives the job as it is. Asking for what its status forbids is a 409 that names the
statuses in which it is allowed.
"""

from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from common.database import Pool
from common.ids import JobId
from common.jobs import removal, store
from common.jobs.document import JobDocument, public
from common.jobs.job import Job, Status
from common.storage import Storage
from common.storage_keys import job_prefixes
from services.ingest.admission import Admission
from services.ingest.auth import caller
from services.ingest.existing import find_job
from services.ingest.places import Places
from services.ingest.problems import Problem
from services.ingest.refusals import CONFLICT, MISSING, REFUSALS

_CANCELLABLE = (Status.UPLOADING, Status.QUEUED, Status.PROCESSING)
_RETRYABLE = (Status.FAILED, Status.CANCELLED)


def handlers(pool: Pool, storage: Storage, admission: Admission, places: Places) -> list[HTTPRouteHandler]:
    """`/api/v1/jobs/{id}/cancel`, `/retry`, and DELETE."""

    @post("/{job_id:uuid}/cancel", status_code=200, summary="Cancel a job", responses=REFUSALS | MISSING | CONFLICT)
    async def cancel(request: Request[Any, Any, Any], job_id: FromPath[UUID]) -> JobDocument:
        """Stop a job that is not finished; a worker that has it lets go within two seconds."""
        tenant = caller(request, "write").tenant
        async with pool.acquire() as connection:
            job = await store.cancel(connection, JobId(job_id), tenant)
        job = job or await find_job(pool, job_id, tenant)
        if job.status is not Status.CANCELLED:
            raise _forbidden("cancelled", job, _CANCELLABLE)
        return public(job)

    @post("/{job_id:uuid}/retry", status_code=202, summary="Try a job again", responses=REFUSALS | MISSING | CONFLICT)
    async def retry(request: Request[Any, Any, Any], job_id: FromPath[UUID]) -> JobDocument:
        """Queue a failed or cancelled job again, with exactly the options it was submitted with."""
        job = await again(pool, storage, admission, JobId(job_id), caller(request, "write").tenant)
        return await places.document(pool, job)

    @delete("/{job_id:uuid}", status_code=204, summary="Delete a job", responses=REFUSALS | MISSING)
    async def remove(request: Request[Any, Any, Any], job_id: FromPath[UUID]) -> Response[None]:
        """Cancel the job if need be, then delete all that is stored for it and itself."""
        await erase(pool, storage, JobId(job_id), caller(request, "write").tenant)
        return Response(None, status_code=204)

    return [cancel, retry, remove]


async def again(pool: Pool, storage: Storage, admission: Admission, job_id: JobId, tenant: str) -> Job:
    """failed | cancelled -> queued, if the recording is still there and the queue takes it. Raises `Problem`."""
    job = await find_job(pool, job_id, tenant)
    if job.status in _RETRYABLE:
        if not await storage.exists(job.source_key):
            raise _audio_gone()
        async with pool.acquire() as connection, connection.transaction():
            await admission.confirm_again(connection, tenant)
            job = await store.resubmit(connection, job.id, tenant) or await store.get(connection, job.id, tenant) or job
    if job.status in _RETRYABLE:  # its time is over, or its recording went at this moment
        raise _audio_gone()
    if job.status not in {Status.QUEUED, Status.PROCESSING}:
        raise _forbidden("retried", job, _RETRYABLE)
    return job


async def erase(pool: Pool, storage: Storage, job_id: JobId, tenant: str) -> None:
    """any -> (gone): cancelled if need be, and condemned; then its bytes, then its row. Raises `Problem`.

    What fails in between leaves a job past its time: asking again goes on from there, and otherwise the janitor expires it.
    """
    async with pool.acquire() as connection:
        condemned = await removal.condemn(connection, job_id, tenant)
    job = condemned or await find_job(pool, job_id, tenant)
    await storage.delete_prefixes(job_prefixes(job.id))
    async with pool.acquire() as connection:
        await removal.delete(connection, job.id, tenant)


def _audio_gone() -> Problem:
    return Problem(409, "audio_gone", "The recording has been deleted, or is about to be; submit it again.")


def _forbidden(what: str, job: Job, allowed: tuple[Status, ...]) -> Problem:
    names = [status.value for status in allowed]
    return Problem(
        409,
        "wrong_status",
        f"A job that is {job.status.value} cannot be {what}; that is for jobs that are {' or '.join(names)}.",
        job_status=job.status.value,
        allowed=names,
    )
