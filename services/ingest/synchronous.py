"""Calls that are answered in one document: what came of the job, in the words of an API.

Proxies close connections on which nothing comes. White space before a JSON document means nothing, so it is sent while there is nothing
else to send; but it takes a status first, and once 200 is out a failure can only be told in the body. So the first of it comes late: most
of what fails has failed before, with the right status.
"""

import asyncio
from typing import Any, Protocol

import structlog
from litestar import Request
from litestar.types import ASGIApp, Receive, Scope, Send

from common.jobs.job import Job
from common.transcript import Transcript
from services.ingest.call import Call, Calls, ended, send_body
from services.ingest.problems import Problem
from services.ingest.submission import Accepted

PAD_SECONDS = 15.0

log = structlog.get_logger(__name__)


class Door(Protocol):
    """How an API words what came of a job; `padded` where white space may come before it."""

    @property
    def media_type(self) -> str: ...

    @property
    def padded(self) -> bool: ...

    def completed(self, job: Job, document: Transcript) -> bytes:
        """The answer; called in a thread, as hours of speech take their time."""
        ...

    def failed(self, problem: Problem) -> bytes:
        """What is said under a 200 that is out already."""
        ...


def answer(calls: Calls, request: Request[Any, Any, Any], accepted: Accepted, door: Door) -> ASGIApp:
    """The answer to a call whose job is `accepted`."""
    call = Call(calls, request, accepted)

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await call.attended(receive, lambda: _tell(call, door, send))

    return app


def told(error: Exception) -> Problem:
    """An error that comes too late for a status, as a problem."""
    if isinstance(error, Problem):
        return error
    log.error("unexpected error", exc_info=error)
    return Problem(500, "server_error", "The server made a mistake; it has been logged.")


async def _tell(call: Call, door: Door, send: Send) -> None:
    """Send what came of the job in the words of `door`. Raises `Problem` as long as there still is a status to say it with."""
    waiting = asyncio.create_task(call.outcome(), name=f"outcome-{call.job_id}")
    padding = False
    try:
        if door.padded:
            await asyncio.wait((waiting,), timeout=call.patience.quiet)
            while not waiting.done():
                if not padding:
                    await call.begin(send, door.media_type, {"X-Accel-Buffering": "no"})  # nginx would hold white space back
                    padding = True
                await send_body(send, b" ", more=True)
                await asyncio.wait((waiting,), timeout=PAD_SECONDS)
        try:
            outcome = await waiting
            body = await asyncio.to_thread(door.completed, outcome.job, outcome.transcript)
        except Exception as error:
            if not padding:
                raise
            body = door.failed(told(error))
        if not padding:
            await call.begin(send, door.media_type, {"Content-Length": str(len(body))})
        await send_body(send, body)
    finally:
        await ended(waiting)
