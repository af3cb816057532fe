"""The queue of transcriptions: a recording in, a job's id out, and the result at the job once it is completed."""

from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from common.database import Pool
from common.health import Health
from common.jobs import queue
from common.jobs.job import Job, Status
from common.jobs.queue import Load
from common.storage import Storage
from common.transcript import Transcript
from services.ingest.auth import caller
from services.ingest.compat import finding, words

NAMES = {"enable_diarization": "diarize", "language": "language"}
"""The form's names of our options."""

MESSAGE = "Job created successfully. Use GET /jobs/{job_id} to check status."


def handlers(pool: Pool, storage: Storage, health: Health) -> list[HTTPRouteHandler]:
    """`/jobs/{job_id}` and `/queue/stats`."""

    @get("/jobs/{job_id:str}")
    async def read(request: Request[Any, Any, Any], job_id: FromPath[str]) -> Response[Any]:
        job = await finding.find(pool, job_id, caller(request, "read").tenant)
        return await finding.told(storage, job, finished) if job.status is Status.COMPLETED else Response(shown(job))

    @get("/queue/stats")
    async def stats(request: Request[Any, Any, Any]) -> dict[str, Any]:
        caller(request, "read")
        async with pool.acquire() as connection:
            waiting = sum((await queue.depth(connection)).values(), Load(0, 0.0))
        return {"queue_length": waiting.jobs, "redis_healthy": (await health.ready())["broker"] == "ok"}

    return [read, stats]


def shown(job: Job) -> dict[str, Any]:
    """A job without its result; `error` only when it failed."""
    why = words.error(job)
    return {
        "job_id": str(job.id),
        "status": words.status(job),
        "progress": round(job.progress),
        "created_at": words.plain(job.created_at),
        "started_at": words.plain(job.started_at),
        "completed_at": words.plain(job.finished_at),
    } | ({} if why is None else {"error": why})


def finished(job: Job, transcript: Transcript) -> dict[str, Any]:
    """A completed job with its result."""
    return shown(job) | {"result": result(job, transcript)}


def result(job: Job, transcript: Transcript) -> dict[str, Any]:
    """What was heard; `processing_time` in seconds from the first attempt's start to the job's end."""
    taken = 0.0 if job.started_at is None or job.finished_at is None else (job.finished_at - job.started_at).total_seconds()
    return {
        "text": transcript.text,
        "language": transcript.language.code,
        "duration": transcript.duration,
        "segments": msgspec.to_builtins(transcript.segments),
        "processing_time": round(taken, 2),
    }
