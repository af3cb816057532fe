"""Recordings split into clips: a zip of them and what is in it, one for each line of a known text or for each segment."""

from typing import Any

from litestar import Request, Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Stream

from common import archives
from common.database import Pool
from common.jobs import queue, upkeep
from common.jobs.job import Job, Status
from common.jobs.listing import Filters
from common.rendering.clock import timestamp
from common.storage import Storage
from common.transcript import Transcript
from services.ingest import clearing
from services.ingest.auth import caller
from services.ingest.clearing import Cleared
from services.ingest.compat import finding, words, zips
from services.ingest.compat.references import number_in
from services.ingest.compat.zips import Zips
from services.ingest.problems import Problem

MESSAGE = "Job queued for processing"
_OPENING = 0
"""The number of the formula that may come before the first line."""

_FINISHED = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)
_AT_ONCE = 1_000
_PATIENCE = 2.0
"""Seconds: who looks every five should not have to look again for what takes half a second."""


def handlers(pool: Pool, storage: Storage, made: Zips) -> list[HTTPRouteHandler]:
    """`/jobs/{job_id}/status`, `/download` and `/metadata`, `/jobs/resume` and `/jobs/finished`."""

    @get("/jobs/{job_id:str}/status")
    async def status(request: Request[Any, Any, Any], job_id: FromPath[str]) -> dict[str, Any]:
        job = await finding.find(pool, job_id, caller(request, "read").tenant)
        lacking = await made.lacking(job, seconds=_PATIENCE) if job.status is Status.COMPLETED else None
        return shown(job, lacking)

    @get("/jobs/{job_id:str}/download", media_type=zips.MEDIA_TYPE)
    async def download(request: Request[Any, Any, Any], job_id: FromPath[str]) -> Stream:
        job = await _completed(request, job_id)
        lacking = await made.lacking(job, seconds=_PATIENCE)
        if lacking is not None:
            raise _unfinished("processing") if zips.unfinished(lacking) else lacking
        return Stream(made.read(job), media_type=zips.MEDIA_TYPE, headers=zips.headers(job))

    @get("/jobs/{job_id:str}/metadata")
    async def read_metadata(request: Request[Any, Any, Any], job_id: FromPath[str]) -> Response[bytes]:
        return await finding.told(storage, await _completed(request, job_id), metadata)

    @post("/jobs/resume", status_code=200)
    async def resume(request: Request[Any, Any, Any]) -> dict[str, Any]:
        caller(request, "admin")
        async with pool.acquire() as connection:
            lost = await upkeep.rescue(connection, limit=_AT_ONCE)
            workers = await queue.workers(connection)
        reset = sum(job.status is Status.QUEUED for job in lost)
        return {
            "success": True,
            "message": f"Job queue resumed. {reset} processing job(s) reset to queued.",
            "jobs_reset": reset,
            "worker_running": bool(workers),
            "worker_processing": any(worker.active for worker in workers),
        }

    @delete("/jobs/finished", status_code=200)
    async def clear(request: Request[Any, Any, Any]) -> dict[str, Any]:
        tenant = caller(request, "write").tenant
        total, more = Cleared(), True
        while more:
            cleared = await clearing.delete_chosen(pool, storage, tenant, _FINISHED, Filters(), _AT_ONCE)
            total, more = total + cleared, cleared.more and cleared.deleted > 0
        return emptied(total)

    async def _completed(request: Request[Any, Any, Any], job_id: str) -> Job:
        job = await finding.find(pool, job_id, caller(request, "read").tenant)
        if job.status is not Status.COMPLETED:
            raise _unfinished(words.status(job))
        return job

    return [status, download, read_metadata, resume, clear]


def listed(job: Job) -> dict[str, Any]:
    """A job in a list."""
    return {
        "job_id": str(job.id),
        "original_filename": job.source.filename,
        "status": words.status(job),
        "created_at": words.plain(job.created_at),
        "completed_at": words.plain(job.finished_at),
    }


def shown(job: Job, lacking: Problem | None) -> dict[str, Any]:
    """A job whose zip is `lacking`: completed when it is there, or never will be for want of anything to cut."""
    found = listed(job) | {"started_at": words.plain(job.started_at)}
    if job.status is not Status.COMPLETED:
        why = words.error(job)
        return found if why is None else found | {"error": why}
    if lacking is not None and zips.unfinished(lacking):
        return found | {"status": "processing", "completed_at": None}
    if lacking is not None and lacking.code == "archive_failed":
        return found | {"status": "failed", "error": lacking.detail}
    return found | {"download_url": f"/jobs/{job.id}/download", "metadata_url": f"/jobs/{job.id}/metadata"}


def metadata(job: Job, transcript: Transcript) -> dict[str, Any]:
    """What is in the zip, and how far it is to be trusted."""
    ayahs = _lines(job, transcript) if job.options.reference else _segments(transcript)
    return {
        "surah_number": number_in(job.source.filename) if job.options.reference else None,
        "total_ayahs": sum(not each["is_basmala"] for each in ayahs),
        "transcription": transcript.text,
        "ayahs": ayahs,
        "diagnostics": _diagnostics(transcript),
    }


def emptied(cleared: Cleared) -> dict[str, Any]:
    """What `DELETE /jobs/finished` came to."""
    some = f"Cleared {cleared.deleted} finished job(s) and removed {cleared.objects} file(s)"
    return {
        "success": cleared.failed == 0,
        "message": some if cleared.deleted else "No finished jobs to clear",
        "jobs_deleted": cleared.deleted,
        "files_removed": cleared.objects,
    }


def _lines(job: Job, transcript: Transcript) -> list[dict[str, Any]]:
    found = [] if transcript.reference is None else transcript.reference.lines
    number = number_in(job.source.filename)
    return [
        {
            "surah_number": number,
            "ayah_number": line.number,
            "ayah_text": line.text,
            "filename": archives.line_clip(line.number, "mp3"),
            "is_basmala": line.number == _OPENING,
            "duration_seconds": round(line.end - line.start, 3),
            "cutoff_uncertain": line.cutoff_uncertain,
        }
        for line in found
    ]


def _segments(transcript: Transcript) -> list[dict[str, Any]]:
    """Without a known text a clip ends where speech does, which nothing is uncertain about."""
    ordered = sorted(transcript.segments, key=lambda segment: (segment.start, segment.end))
    return [
        {
            "surah_number": None,
            "ayah_number": number,
            "ayah_text": segment.text,
            "filename": archives.segment_clip(number, len(ordered), segment.speaker, "mp3"),
            "is_basmala": False,
            "duration_seconds": round(segment.end - segment.start, 3),
            "cutoff_uncertain": False,
        }
        for number, segment in enumerate(ordered, 1)
    ]


def _diagnostics(transcript: Transcript) -> dict[str, Any]:
    """Where the recording and the last clip end; with a known text, also how much of it was found."""
    report = transcript.reference
    if report is None:
        last = max((segment.end for segment in transcript.segments), default=None)
        return {"audio_input_end_timestamp": _clock(transcript.duration), "last_ayah_end_timestamp": _clock(last)}
    found = report.diagnostics
    return {
        "audio_input_end_timestamp": _clock(found.input_end),
        "last_ayah_end_timestamp": _clock(found.last_end),
        "coverage": found.coverage,
        "missing_ayahs": list(found.missing),
        "repeated_ayahs": [_span(one) | {"ayah_number": one.number} for one in found.repeated],
        "unmatched_spans": [_span(one) | {"text": one.text} for one in found.unmatched],
    }


def _span(one: Any) -> dict[str, Any]:
    return {"start_timestamp": _clock(one.start), "end_timestamp": _clock(one.end)}


def _clock(seconds: float | None) -> str | None:
    return None if seconds is None else timestamp(round(seconds * 1_000), ".")


def _unfinished(status: str) -> Problem:
    return Problem(400, "not_completed", f"Job is not completed yet. Current status: {status}")
