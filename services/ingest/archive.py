"""`GET /api/v1/jobs/{id}/archive`: a zip of the recording cut into clips, made by a transcriber when it is first asked for."""

from pathlib import PurePath
from typing import Any
from uuid import UUID

from litestar import MediaType, Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from common import archives
from common.archives import Cut, Wanted
from common.database import Pool
from common.jobs.job import Job
from common.storage import Storage
from services.ingest import query
from services.ingest.auth import caller
from services.ingest.existing import find_job
from services.ingest.problems import Problem
from services.ingest.reading import LINK_LIFETIME, completed
from services.ingest.refusals import MISSING, REFUSALS, refusals
from services.ingest.taking import asking

_RETRY_SECONDS = 2


def handlers(pool: Pool, storage: Storage) -> list[HTTPRouteHandler]:
    """Downloading, and having it made."""

    @get(
        "/{job_id:uuid}/archive",
        status_code=302,
        summary="Download the recording in clips",
        operation_class=asking(*query.parameters(Cut)),
        responses=REFUSALS
        | MISSING
        | refusals(
            {
                202: "The job is not done, or the archive is being made",
                409: "The job failed or was cancelled, there are no speakers or lines to cut by, or the archive cannot be made",
                410: "The result has expired, or the recording has been deleted",
                422: "A parameter is invalid",
            }
        ),
    )
    async def read_archive(request: Request[Any, Any, Any], job_id: FromPath[UUID]) -> Response[None]:
        """Leads to a zip of clips, `metadata.json` and subtitles; the address works for five minutes and without a key.

        It is made when it is first asked for, which takes some seconds for an hour of audio: 202 until then. It goes when the job does.
        """
        tenant = caller(request, "read").tenant
        asked = query.asked(request, Cut)
        job = await find_job(pool, job_id, tenant)
        completed(job)
        wanted = Wanted(job.id, asked)
        await require(pool, storage, job, wanted)
        stem = PurePath(job.source.filename).stem or "recording"
        url = await storage.presign(
            wanted.key, lifetime=LINK_LIFETIME, filename=f"{stem}-{wanted.cut.variant}.zip", content_type="application/zip"
        )
        return Response(None, status_code=302, media_type=MediaType.TEXT, headers={"Location": url})

    return [read_archive]


async def require(pool: Pool, storage: Storage, job: Job, wanted: Wanted) -> None:
    """Return if the archive of a completed job is there, else have it made. Raises the `Problem` that says why it is not there."""
    if not await storage.exists(wanted.key):
        raise await _not_there(pool, storage, job, wanted)


async def _not_there(pool: Pool, storage: Storage, job: Job, wanted: Wanted) -> Problem:
    """Have it made, and say that it is being made or why it cannot be."""
    if wanted.cut.by == "speaker" and job.result is not None and job.result.speakers == 0:
        return Problem(
            409,
            "no_speakers",
            "The transcript does not tell speakers apart; ask for by=segment, or submit the recording with diarize=true.",
        )
    if wanted.cut.by == "line" and not job.options.reference:
        return Problem(
            409,
            "no_reference",
            "The job has no reference to cut by; submit the recording with reference, or ask for by=segment.",
        )
    if not await storage.exists(archives.recording_key(job)):
        return Problem(410, "audio_deleted", "The recording has been deleted, and there is nothing to cut.")
    async with pool.acquire() as connection:
        failure = await archives.ask(connection, wanted)
    if failure is not None and failure.code == "nothing_to_cut":
        return Problem(409, "nothing_to_cut", failure.message)
    if failure is not None:
        return Problem(409, "archive_failed", f"The archive cannot be made: {failure.message}")
    return Problem(202, "archive_not_ready", "The archive is being made; ask again.", headers={"Retry-After": str(_RETRY_SECONDS)})
