"""Stored recordings, their cleaning up, and jobs with the text as it was heard and as it was corrected."""

from typing import Any

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from common import cleanup, space
from common.cleanup import Cleanup, DutyName, Round
from common.database import Pool
from common.jobs.job import Job, Status
from common.rendering.clock import zoned
from common.storage import Storage
from common.transcript import Transcript
from services.ingest.admin import storage as stored
from services.ingest.admin.storage import StorageDocument
from services.ingest.auth import caller
from services.ingest.call import Calls
from services.ingest.compat import finding, words
from services.ingest.compat.submitting import Upload, submit
from services.ingest.problems import Problem
from services.ingest.submission import Submissions
from services.ingest.waiting import until

_NAMES = {"lexicon_id": "lexicon_id", "language": "language"}
_DUTIES: tuple[DutyName, ...] = ("expire", "audio")
"""What the earlier service cleaned up: recordings past their time."""

_NOT_CORRECTED = "corrections_failed"
_CLEANUP_SECONDS = 30.0
_POLL_SECONDS = 2.0
_MEBIBYTE = 2**20


def handlers(pool: Pool, storage: Storage, submissions: Submissions, calls: Calls) -> list[HTTPRouteHandler]:
    """`/api/jobs`, `/storage/stats` and `/admin/cleanup`."""

    @post("/api/jobs", status_code=201, request_max_body_size=None)
    async def create(request: Request[Any, Any, Any]) -> dict[str, Any]:
        accepted = await submit(submissions, request, Upload(("file",), _NAMES))
        return shown(await finding.find(pool, str(accepted.job_id), caller(request, "write").tenant), None)

    @get("/api/jobs/{job_id:str}")
    async def read(request: Request[Any, Any, Any], job_id: FromPath[str]) -> Response[Any]:
        job = await finding.find(pool, job_id, caller(request, "read").tenant)
        return await finding.told(storage, job, shown) if job.status is Status.COMPLETED else Response(shown(job, None))

    @get("/storage/stats")
    async def stats(request: Request[Any, Any, Any]) -> dict[str, Any]:
        caller(request, "admin")
        async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            return measured(stored.document(await space.read(connection), await space.read_usage(connection)))

    @post("/admin/cleanup", status_code=200)
    async def clean_up(request: Request[Any, Any, Any]) -> dict[str, Any]:
        caller(request, "admin")
        async with pool.acquire() as connection:
            round_id = await cleanup.ask(connection, Cleanup(_DUTIES))

        async def look() -> Round | None:
            async with pool.acquire() as connection:
                return await cleanup.read(connection, round_id)

        patience = min(_CLEANUP_SECONDS, calls.patience.limit)
        found = await until(calls.watch, str(round_id), look, _carried_out, seconds=patience, poll=_POLL_SECONDS)
        if found is None or found.reports is None:
            raise Problem(
                503,
                "no_janitor",
                "No janitor has carried it out yet; it is done as soon as one is there.",
                headers={"Retry-After": "30"},
            )
        return cleaned(found)

    return [create, read, stats, clean_up]


def shown(job: Job, transcript: Transcript | None) -> dict[str, Any]:
    """A job; of one that is completed, what was heard and what its lexicon made of it.

    `processed_text` is null where post-processing failed, which fails no job.
    """
    heard = None if transcript is None else transcript.original_text or transcript.text
    corrected = None if transcript is None or _failed_to_correct(transcript) else transcript.text
    return {
        "id": str(job.id),
        "status": words.status(job, "pending"),
        "audio_file_path": job.source_key,
        "lexicon_id": None if job.options.lexicon_id is None else str(job.options.lexicon_id),
        "original_text": heard,
        "processed_text": corrected,
        "error_message": words.error(job),
        "created_at": zoned(job.created_at),
        "started_at": zoned(job.started_at),
        "completed_at": zoned(job.finished_at),
    }


def measured(document: StorageDocument) -> dict[str, Any]:
    """Disk usage, file count, total size. `disk` is null when nobody has said how much there is."""
    total, used = document.capacity_bytes, document.total.bytes
    return {
        "file_count": document.total.objects,
        "total_size_bytes": used,
        "total_size_mb": round(used / _MEBIBYTE, 2),
        "disk": None
        if total is None
        else {
            "total_bytes": total,
            "used_bytes": used,
            "free_bytes": document.free_bytes,
            "used_percent": round(100 * used / total, 1),
        },
        "level": document.level,
        "audio_files": document.by_kind["audio"].objects,
        "measured_at": zoned(document.measured_at),
    }


def cleaned(found: Round) -> dict[str, Any]:
    """What a cleanup came to, over its duties."""
    reports = found.reports or []
    return {
        "scanned": sum(report.scanned for report in reports),
        "deleted": sum(report.swept for report in reports),
        "failed": sum(report.failed for report in reports),
        "errors": [report.error for report in reports if report.error is not None],
    }


def _failed_to_correct(transcript: Transcript) -> bool:
    return any(note.code == _NOT_CORRECTED for note in transcript.degradations)


def _carried_out(found: Round | None) -> bool:
    return found is None or found.finished_at is not None
