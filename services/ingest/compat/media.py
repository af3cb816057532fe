"""Audio and video files: a transcript in topics, polled for, called back with, or waited for."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.types import ASGIApp

from common import webhook
from common.database import Pool
from common.jobs import queue
from common.jobs.job import Job, Status
from common.rendering import process
from common.rendering.clock import zoned
from common.storage import Storage
from common.transcript import Transcript
from services.ingest import synchronous
from services.ingest.auth import caller
from services.ingest.call import Calls
from services.ingest.compat import finding, refusing, words
from services.ingest.compat.submitting import Upload, submit
from services.ingest.problems import Problem
from services.ingest.submission import Submissions

_NAMES = {"language": "language", "webhook_url": "webhook_url"}
_MOST_SHOWN = 200

_MESSAGES = {"pending": "Job is waiting to be processed", "processing": "Job is currently being processed"}
_STEPS = {
    "fetch": "Fetching the file",
    "decode": "Decoding the file",
    "vad": "Detecting speech",
    "transcribe": "Transcribing audio",
    "align": "Aligning words",
    "diarize": "Detecting speakers",
    "postprocess": "Finding topics",
    "redact": "Redacting",
    "store": "Storing the result",
}


class _Recording(Upload):
    """A file of which topics are wanted, and of whose end a webhook is told in this document's words."""

    def __init__(self) -> None:
        super().__init__(("file",), _NAMES, always={"topics": True})

    def chosen(self) -> dict[str, Any]:
        return {"webhook_payload": "process"} if "webhook_url" in self.given else {}


def handlers(pool: Pool, storage: Storage, submissions: Submissions, calls: Calls) -> list[HTTPRouteHandler]:
    """`/process`, `/status/{job_id}`, `/result/{job_id}`, `/jobs/processing`, `/process-audio` and `/process-video`."""

    @post("/process", status_code=200, request_max_body_size=None)
    async def process_file(request: Request[Any, Any, Any]) -> dict[str, Any]:
        accepted = await submit(submissions, request, _asked(request))
        job = await finding.find(pool, str(accepted.job_id), caller(request, "write").tenant)
        return {
            "job_id": str(job.id),
            "status": "pending",
            "message": "File uploaded successfully. Processing started.",
            **_file(job),
            "created_at": zoned(job.created_at),
        }

    @get("/status/{job_id:str}")
    async def status(request: Request[Any, Any, Any], job_id: FromPath[str]) -> dict[str, Any]:
        return shown(await finding.find(pool, job_id, caller(request, "read").tenant))

    @get("/result/{job_id:str}")
    async def result(request: Request[Any, Any, Any], job_id: FromPath[str]) -> Response[Any]:
        job = await finding.find(pool, job_id, caller(request, "read").tenant)
        if job.status is Status.COMPLETED:
            return await finding.told(storage, job, finished)
        return Response(unfinished(job), status_code=202 if words.error(job) is None else 500)

    @get("/jobs/processing")
    async def processing(request: Request[Any, Any, Any]) -> dict[str, Any]:
        active = await finding.latest(pool, caller(request, "read").tenant, _MOST_SHOWN, (Status.PROCESSING,))
        async with pool.acquire() as connection:
            workers = await queue.workers(connection)
        return {
            "active_jobs": len(active),
            "max_workers": sum(worker.slots for worker in workers),
            "processing_job_ids": [str(job.id) for job in active],
        }

    @post(["/process-audio", "/process-video"], status_code=200, request_max_body_size=None)
    async def wait(request: Request[Any, Any, Any]) -> ASGIApp:
        return synchronous.answer(calls, request, await submit(submissions, request, _asked(request)), _Door())

    return [process_file, status, result, processing, wait]


class _Door:
    """A call that waits: the result alone."""

    media_type = "application/json"
    padded = True

    def completed(self, job: Job, document: Transcript) -> bytes:
        return msgspec.json.encode(process.result(job, document))

    def failed(self, problem: Problem) -> bytes:
        return msgspec.json.encode(refusing.document(problem))


def _asked(request: Request[Any, Any, Any]) -> _Recording:
    """What the query says; the form may say it too."""
    recording = _Recording()
    for name, text in request.query_params.items():
        recording.add(name, text)
    return recording


def shown(job: Job) -> dict[str, Any]:
    """A job as its status is asked for. A webhook's address is shown without what may be a secret in it."""
    url = job.options.webhook_url
    return {
        "job_id": str(job.id),
        **_file(job),
        "language": job.options.language,
        "webhook_url": None if url is None else webhook.shown(url),
        "status": words.status(job, "pending"),
        "created_at": zoned(job.created_at),
        "started_at": zoned(job.started_at),
        "completed_at": zoned(job.finished_at),
        "progress_percentage": round(job.progress),
        "current_step": _step(job),
        "error_message": words.error(job),
        "has_result": job.status is Status.COMPLETED,
    }


def finished(job: Job, transcript: Transcript) -> dict[str, Any]:
    """A completed job with its result."""
    return {
        "job_id": str(job.id),
        "status": "completed",
        "completed_at": zoned(job.finished_at),
        "result": process.result(job, transcript),
    }


def unfinished(job: Job) -> dict[str, Any]:
    """A job that has no result, yet or ever."""
    why = words.error(job)
    status = words.status(job, "pending")
    said = {"message": _MESSAGES[status]} if why is None else {"error_message": why, "detail": why}
    return {"job_id": str(job.id), "status": status, "progress_percentage": round(job.progress), "current_step": _step(job), **said}


def _step(job: Job) -> str | None:
    return None if job.stage is None else _STEPS.get(job.stage, job.stage)


def _file(job: Job) -> dict[str, Any]:
    return {"filename": job.source.filename, "file_size": job.source.size, "file_type": job.source.kind}
