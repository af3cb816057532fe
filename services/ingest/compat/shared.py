"""Paths that two documents name: answers have the fields of both."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter
from litestar.types import ASGIApp

from common.database import Pool
from common.health import Health
from common.jobs import queue as works
from common.jobs.job import Job
from common.jobs.queue import Worker
from common.transcript import Transcript
from services.ingest import operations
from services.ingest.auth import caller
from services.ingest.compat import finding, queue, refusing, words
from services.ingest.compat.submitting import Upload, submit
from services.ingest.problems import Problem
from services.ingest.query import invalid
from services.ingest.submission import Submissions
from services.ingest.synchronous import Calls

_DEFAULT_LIMIT, _MOST = 100, 1_000


def handlers(pool: Pool, submissions: Submissions, calls: Calls, health: Health) -> list[HTTPRouteHandler]:
    """`/transcribe`, `/transcribe/async`, `/jobs` and `/health`."""

    @post("/transcribe/async", status_code=200, request_max_body_size=None)
    async def enqueue(request: Request[Any, Any, Any]) -> dict[str, Any]:
        accepted = await submit(submissions, request, Upload(("file",), queue.NAMES))
        return {
            "success": True,
            "job_id": str(accepted.job_id),
            "status": "queued",
            "message": queue.MESSAGE,
        }

    @post("/transcribe", status_code=200, request_max_body_size=None)
    async def wait(request: Request[Any, Any, Any]) -> ASGIApp:
        accepted = await submit(submissions, request, Upload(("file",), queue.NAMES))
        return calls.answer(request, accepted, _Door())

    @get("/jobs")
    async def list_jobs(
        request: Request[Any, Any, Any], status: str | None = None, limit: Annotated[int, Parameter(ge=1, le=_MOST)] = _DEFAULT_LIMIT
    ) -> dict[str, Any]:
        tenant = caller(request, "read").tenant
        if status is not None and status not in words.SHOWN:
            raise invalid("status", f"it is one of {', '.join(words.SHOWN)}")
        jobs = await finding.latest(pool, tenant, limit, finding.EVERY if status is None else words.SHOWN[status])
        return {"total": len(jobs), "jobs": [queue.shown(job) for job in jobs]}

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


class _Door:
    """A call that waits: the result alone, as the job has it."""

    media_type = "application/json"
    padded = True

    def completed(self, job: Job, document: Transcript) -> bytes:
        return msgspec.json.encode(queue.result(job, document))

    def failed(self, problem: Problem) -> bytes:
        return msgspec.json.encode(refusing.document(problem))
