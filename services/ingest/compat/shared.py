"""Paths that two documents name: `file` makes a request one document's, `audio_file` the other's, and answers have the fields of both."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from common.database import Pool
from common.health import Health
from common.jobs import queue as works
from common.jobs.job import Job
from common.jobs.queue import Worker
from common.transcript import Transcript
from services.ingest import operations, query, synchronous
from services.ingest.auth import caller
from services.ingest.call import Calls
from services.ingest.compat import finding, queue, refusing, segments, words
from services.ingest.compat.references import References
from services.ingest.compat.splitting import Splitting
from services.ingest.compat.submitting import Upload, submit
from services.ingest.compat.zips import Zips
from services.ingest.problems import Problem
from services.ingest.submission import Submissions

_QUEUED, _SPLIT, _SPLIT_NOW = "file", "audio_file", "split_audio"


class _Latest(msgspec.Struct, frozen=True):
    status: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


_KNOWN = _Latest.__struct_fields__  # what else a client says was never looked at


def handlers(
    pool: Pool, submissions: Submissions, calls: Calls, zips: Zips, references: References, health: Health
) -> list[HTTPRouteHandler]:
    """`/transcribe`, `/transcribe/async`, `/jobs` and `/health`."""

    @post("/transcribe/async", status_code=200, request_max_body_size=None)
    async def enqueue(request: Request[Any, Any, Any]) -> dict[str, Any]:
        recording = _Recording(references)
        accepted = await submit(submissions, request, recording)
        return {
            "success": True,
            "job_id": str(accepted.job_id),
            "status": "queued",
            "message": segments.MESSAGE if recording.split else queue.MESSAGE,
        }

    @post("/transcribe", status_code=200, request_max_body_size=None)
    async def wait(request: Request[Any, Any, Any]) -> ASGIApp:
        recording = _Recording(references)
        accepted = await submit(submissions, request, recording)
        if recording.flag(_SPLIT_NOW):
            return Splitting(calls, zips).answer(request, accepted)
        return synchronous.answer(calls, request, accepted, _Door())

    @get("/jobs")
    async def list_jobs(request: Request[Any, Any, Any]) -> dict[str, Any]:
        tenant = caller(request, "read").tenant
        asked = query.parse({name: text for name, text in query.values(request).items() if name in _KNOWN}, _Latest)
        if asked.status is not None and asked.status not in words.SHOWN:
            raise query.invalid("status", f"it is one of {', '.join(words.SHOWN)}")
        jobs = await finding.latest(pool, tenant, asked.limit, finding.EVERY if asked.status is None else words.SHOWN[asked.status])
        return {"total": len(jobs), "jobs": [queue.shown(job) | segments.listed(job) for job in jobs]}

    @get("/health")
    async def read_health() -> Response[dict[str, Any]]:
        states, healthy = await operations.states(health, pool)
        if not healthy:
            return Response({**states, "status": "unhealthy"}, status_code=503)
        async with pool.acquire() as connection:
            workers = await works.workers(connection)
        return Response({**states, "status": "healthy", **_processor(workers)})

    return [enqueue, wait, list_jobs, read_health]


def _processor(workers: Sequence[Worker]) -> dict[str, Any]:
    """Who does the work, and how much of it there is."""
    active = sum(worker.active for worker in workers)
    return {
        "background_processor": {
            "status": "running" if workers else "stopped",
            "active_jobs": active,
            "max_workers": sum(worker.slots for worker in workers),
        },
        "active_jobs": active,
    }


class _Recording(Upload):
    """A recording in either document's form. Only one that is to be split has a reference text, if there is one of its number."""

    def __init__(self, references: References) -> None:
        super().__init__((_QUEUED, _SPLIT), queue.NAMES)
        self._references = references

    @property
    def split(self) -> bool:
        return self.field == _SPLIT

    def chosen(self) -> dict[str, Any]:
        self.flag(_SPLIT_NOW)  # refused before there is a job
        lines = self._references.of(self.filename) if self.split else None
        return {} if lines is None else {"reference": lines}


class _Door:
    """A call that waits: the result alone, with the fields of both documents."""

    media_type = "application/json"
    padded = True

    def completed(self, job: Job, document: Transcript) -> bytes:
        return msgspec.json.encode(queue.result(job, document) | segments.metadata(job, document))

    def failed(self, problem: Problem) -> bytes:
        return msgspec.json.encode(refusing.document(problem))
