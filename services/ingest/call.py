"""One client that waits for its job: a normal job, and one who hangs on until it is final. So a call survives whatever a job survives.

The job is the client's as long as the client is there: one that hangs up has its job cancelled, unless it sent an Idempotency-Key, with
which it may come back and wait for the same job. A call that lasts longer than the limit is told the job's id, and so is one that an ingest
which stops cannot wait for any more, a moment before connections are cut; the job goes on. One that dies leaves the job alone.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
import structlog
from litestar import Request
from litestar.types import Receive, Send

from common import tracing, transcript
from common.database import AWAY, Pool
from common.errors import PermanentError, TransientError
from common.jobs import state, store
from common.jobs.job import Job
from common.jobs.state import JobState
from common.jobs.watch import Watch
from common.storage import Storage
from common.transcript import Transcript
from services.ingest import entering
from services.ingest.auth import caller
from services.ingest.problems import Problem
from services.ingest.reading import completed, expired
from services.ingest.submission import Accepted
from services.ingest.waiting import MAX_SECONDS, Patience, until

T = TypeVar("T")

JOB_ID = "Verbatim-Job-Id"
REQUEST_ID = "X-Request-Id"
RETRY = "X-Should-Retry"
"""Tells OpenAI's clients whether to try again, whatever the status."""

_RETRY_SECONDS = 1.0
_ABANDON_SECONDS = 60.0
_PARTING_SECONDS = 5.0
"""Before the connections of a service that stops are cut, calls are answered: so long before that a machine which is short of breath
has answered them by then."""

log = structlog.get_logger(__name__)


class Outcome(msgspec.Struct, frozen=True):
    """What came of a job that is completed."""

    job: Job
    transcript: Transcript


class Calls:
    """What they have in common; one per process."""

    def __init__(self, pool: Pool, storage: Storage, watch: Watch, patience: Patience, stopping: asyncio.Event) -> None:
        self.pool = pool
        self.storage = storage
        self.watch = watch
        self.patience = patience
        self.stopping = stopping


class Call:
    """One client, and the job that it waits for."""

    def __init__(self, calls: Calls, request: Request[Any, Any, Any], accepted: Accepted) -> None:
        self._calls = calls
        self.job_id = accepted.job_id
        self.tenant = caller(request, "write").tenant
        self._returning = entering.KEY in request.headers
        self.patience = calls.patience
        self._deadline = asyncio.get_running_loop().time() + calls.patience.limit
        self._limit: asyncio.Timeout | None = None

    async def attended(self, receive: Receive, answer: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Answer for as long as the client is there. What `answer` raises is raised."""
        answering = asyncio.create_task(answer(), name=f"answer-{self.job_id}")
        leaving = asyncio.create_task(_left(receive), name=f"client-{self.job_id}")
        hurrying = asyncio.create_task(self._hurry(), name=f"hurry-{self.job_id}")
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                answering.result()
                return
        finally:
            await ended(answering, leaving, hurrying)
        await self._abandon()

    async def outcome(self) -> Outcome:
        """Wait until the job is completed. Raises `Problem` when it never will be, or not within the limit."""
        async with self.limited():
            while True:
                found = await self.patiently(self._look)
                if found is not None:
                    return found

    async def standing(self) -> JobState:
        """Where the job stands. Raises `Problem` when it is gone."""

        async def read() -> JobState | None:
            async with self._calls.pool.acquire() as connection:
                return await state.read(connection, self.job_id, self.tenant)

        async with self.limited():
            found = await self.patiently(read)
            if found is None:
                raise _deleted()
            return found

    @asynccontextmanager
    async def limited(self) -> AsyncIterator[None]:
        """As long as a call may wait, from its beginning; then a `Problem`. Those that are raised in the block are given the job's id."""
        try:
            async with asyncio.timeout_at(self._deadline) as limit:
                self._limit = limit
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            raise self._gone_on() from None
        except Problem as problem:
            problem.extra["job_id"] = str(self.job_id)
            raise
        finally:
            self._limit = None

    async def patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """What `attempt` returns, once what it needs is there."""
        while True:
            try:
                return await attempt()
            except (TransientError, *AWAY) as error:
                log.warning("dependency away", error=repr(error))
                await asyncio.sleep(_RETRY_SECONDS)

    async def begin(self, send: Send, media_type: str, headers: Mapping[str, str]) -> None:
        """200."""
        named = {"Content-Type": media_type, JOB_ID: str(self.job_id), **request_id(), **headers}
        start: Any = {
            "type": "http.response.start",
            "status": 200,
            "headers": [(name.lower().encode(), value.encode()) for name, value in named.items()],
        }
        await send(start)

    async def _look(self) -> Outcome | None:
        job = await until(self._calls.watch, str(self.job_id), self._read, _final, seconds=MAX_SECONDS)
        if job is None:
            raise _deleted()
        if not job.status.final:
            return None
        key = completed(job).keys["transcript"]
        try:
            data = await self._calls.storage.get(key)
        except PermanentError:
            raise expired() from None
        return Outcome(job, await asyncio.to_thread(transcript.decode, data))

    async def _read(self) -> Job | None:
        async with self._calls.pool.acquire() as connection:
            return await store.get(connection, self.job_id, self.tenant)

    async def _hurry(self) -> None:
        """Once the service stops, wait no longer than its connections last."""
        await self._calls.stopping.wait()
        self._deadline = min(self._deadline, asyncio.get_running_loop().time() + max(0.0, self.patience.drain - _PARTING_SECONDS))
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(self._deadline)

    async def _abandon(self) -> None:
        log.info("client hung up", job_id=str(self.job_id), returning=self._returning)
        if self._returning:
            return
        try:
            async with asyncio.timeout(_ABANDON_SECONDS):
                await self.patiently(self._cancel)
        except TimeoutError:
            log.warning("job not cancelled", job_id=str(self.job_id))

    async def _cancel(self) -> None:
        async with self._calls.pool.acquire() as connection:
            await store.cancel(connection, self.job_id, self.tenant)

    def _gone_on(self) -> Problem:
        """The call is over, and the job is not. Who sent a key waits for the same job again, by itself if it likes."""
        ask = f"the job goes on: ask for it by its id, {self.job_id}."
        headers = {"Location": f"/api/v1/jobs/{self.job_id}"} | ({RETRY: "true"} if self._returning else {})
        about: dict[str, Any] = {"job_id": str(self.job_id)}
        if self._calls.stopping.is_set():
            return Problem(503, "restarting", f"The server restarts, and {ask}", headers={"Retry-After": "5", **headers}, **about)
        why = f"No call waits longer than {self.patience.limit:g} seconds, and {ask}"
        return Problem(504, "still_processing", why, headers=headers, **about)


async def ended(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel them, and wait until they are over."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def send_body(send: Send, body: bytes, *, more: bool = False) -> None:
    """A part of the answer; the last one unless there is `more`."""
    await send({"type": "http.response.body", "body": body, "more_body": more})


def request_id() -> dict[str, str]:
    """The trace's id in the header in which many clients look for it."""
    trace = tracing.current_traceparent()
    return {} if trace is None else {REQUEST_ID: trace.split("-")[1]}


def _deleted() -> Problem:
    return Problem(404, "job_not_found", "The job was deleted before it was done.")


def _final(job: Job | None) -> bool:
    return job is None or job.status.final


async def _left(receive: Receive) -> None:
    """Returns when the client has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass
