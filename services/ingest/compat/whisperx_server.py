"""The first of the earlier services: `/v1/audio/transcriptions` with fields of its own, and `/v1/jobs`.

Its document promises an answer in one of two ways: the job's id at once (`stored_output=true`, or an `upload_presigned_url` and nothing
said of `stored_output`), or the transcript in the answer. The path is OpenAI's too, so `openai.router` asks here what the fields mean.

It knew neither a queue nor cancelling: a job that waits is processing, one that was cancelled has failed. Its JOB_RESULTS_DIR is ignored:
results are in S3.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get
from litestar.params import FromPath

from common import transcript
from common.database import Pool
from common.errors import PermanentError
from common.ids import JobId
from common.jobs import listing, store
from common.jobs.job import Job, Status
from common.jobs.listing import Filters
from common.storage import Storage
from common.transcript import Segment, Transcript
from services.ingest.auth import caller
from services.ingest.compat import words
from services.ingest.problems import Problem

_MOST_LISTED = 1_000
_DONE = 100
_DOING = {
    "fetch": "Fetching audio",
    "decode": "Decoding audio",
    "vad": "Detecting speech",
    "transcribe": "Transcribing audio",
    "align": "Aligning words",
    "diarize": "Identifying speakers",
    "postprocess": "Correcting text",
    "redact": "Redacting audio",
    "store": "Storing the result",
}
_NOTE = "Result not available"


class Wishes:
    """The fields of one form that are this service's."""

    names = ("stored_output", "enable_diarization", "upload_presigned_url")

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def add(self, name: str, text: str) -> dict[str, Any]:
        """Takes one of `names`; returns the options that follow from it. Empty, it says nothing. Raises `Problem`."""
        if not text.strip():
            return {}
        value = text if name == "upload_presigned_url" else words.flag(name, text)
        self._values[name] = value
        match name:
            case "enable_diarization":
                return {"diarize": value}
            case "upload_presigned_url":
                return {name: value}
        return {}

    @property
    def given(self) -> bool:
        """Whether a client of this service is asking."""
        return bool(self._values)

    @property
    def detached(self) -> bool:
        """Whether the answer is the job's id."""
        return bool(self._values.get("stored_output", self._values.get("upload_presigned_url")))


class Inline:
    """The answer of a call that waits."""

    media_type = "application/json"
    padded = True

    def __init__(self, failed: Callable[[Problem], bytes]) -> None:
        self.failed = failed

    def completed(self, job: Job, document: Transcript) -> bytes:
        return msgspec.json.encode({**_result(document), "processing_time": _processing(job)})


def submitted(job_id: JobId) -> dict[str, str]:
    """The answer of a call that does not wait."""
    return {
        "job_id": str(job_id),
        "status": "in_progress",
        "message": f"Transcription job started. Ask for its status and its result at /v1/jobs/{job_id}.",
    }


def router(pool: Pool, storage: Storage, handlers: dict[Any, Any]) -> Router:
    """`/v1/jobs`; `handlers` of exceptions, as the path's other service words them."""

    @get("/{job_id:str}", include_in_schema=False)
    async def read(request: Request[Any, Any, Any], job_id: FromPath[str]) -> Response[dict[str, Any]]:
        tenant = caller(request, "read").tenant
        wanted = words.flag("include_result", request.query_params.get("include_result", "true"))
        async with pool.acquire() as connection:
            job = await store.get(connection, _id(job_id), tenant)
            now = await connection.fetchval("select now()")
        if job is None:
            raise _missing(job_id)
        shown = _shown(job, now)
        if wanted and (shown["result_available"] or job.status.final):
            data = await _stored(storage, job) if shown["result_available"] else None
            shown |= {"result_note": _NOTE} if data is None else {"result": await asyncio.to_thread(_whole, job, data)}
        return Response(shown)

    @get("/", include_in_schema=False)
    async def active(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
        """Jobs that are not final, newest first of each status."""
        tenant = caller(request, "read").tenant
        async with pool.acquire() as connection:
            pages = [
                await listing.page(connection, tenant, Filters(status=status), after=None, limit=_MOST_LISTED)
                for status in (Status.PROCESSING, Status.QUEUED)
            ]
            now = await connection.fetchval("select now()")
        return Response({"jobs": [_shown(job, now) for page in pages for job in page]})

    return Router("/v1/jobs", route_handlers=[read, active], exception_handlers=handlers)


def _shown(job: Job, now: datetime) -> dict[str, Any]:
    """What is said of a job without its result. Times are seconds, of the epoch where they are not durations."""
    ended = job.finished_at
    available = job.status is Status.COMPLETED and job.expires_at is not None and job.expires_at > now
    return {
        "job_id": str(job.id),
        "status": _status(job),
        "progress": _progress(job),
        "start_time": job.created_at.timestamp(),
        "elapsed_time": round(((ended or now) - job.created_at).total_seconds(), 3),
        **({} if ended is None else {"end_time": ended.timestamp()}),
        **({} if _status(job) != "failed" else {"error": _error(job)}),
        "result_available": available,
        "result_expires_at": job.expires_at.timestamp() if available and job.expires_at is not None else None,
    }


def _status(job: Job) -> str:
    if not job.status.final:
        return "processing"
    return "completed" if _succeeded(job) else "failed"


def _succeeded(job: Job) -> bool:
    """Also of a job that has expired and forgotten all but how far it came."""
    return job.status is Status.COMPLETED or (job.status is Status.EXPIRED and job.progress == _DONE)


def _progress(job: Job) -> str:
    if job.status.final:
        return "Done" if _succeeded(job) else "Failed"
    return _DOING.get(job.stage or "", "Starting") if job.status is Status.PROCESSING else "Waiting in the queue"


def _error(job: Job) -> str:
    return "The job was cancelled." if job.status is Status.CANCELLED or job.error is None else job.error.message


async def _stored(storage: Storage, job: Job) -> bytes | None:
    """None when it goes at this moment."""
    assert job.result is not None
    try:
        return await storage.get(job.result.keys["transcript"])
    except PermanentError:
        return None


def _whole(job: Job, data: bytes) -> dict[str, Any]:
    """Hours of speech take their time."""
    result = _result(transcript.decode(data))
    return {"job_id": str(job.id), "status": "completed", "processing_time": _processing(job), "result": result}


def _result(document: Transcript) -> dict[str, Any]:
    return {
        "text": document.text,
        "segments": [_segment(segment) for segment in document.segments],
        "language": document.language.code,
        "speakers": [speaker.id for speaker in document.speakers],
    }


def _segment(segment: Segment) -> dict[str, Any]:
    """Begins with a space, as WhisperX's do: joined, segments are the text."""
    return {
        "text": f" {segment.text}",
        "start": segment.start,
        "end": segment.end,
        **({} if segment.speaker is None else {"speaker": segment.speaker}),
        "words": [
            {
                "word": word.word,
                "start": word.start,
                "end": word.end,
                "score": word.score,
                **({} if word.speaker is None else {"speaker": word.speaker}),
            }
            for word in segment.words
        ],
    }


def _processing(job: Job) -> float:
    """Seconds on a worker; a result that was taken from an earlier job took none."""
    assert job.finished_at is not None
    return round((job.finished_at - (job.started_at or job.finished_at)).total_seconds(), 3)


def _id(text: str) -> JobId:
    try:
        return JobId(UUID(text))
    except ValueError:
        raise _missing(text) from None


def _missing(job_id: str) -> Problem:
    return Problem(404, "job_not_found", f"There is no job {job_id}.")
