"""From token to job: a message on `transcriber.jobs` says only that there is something to do.

What is done is the best job that Postgres has (`store.claim`), so priority and fairness do not depend on the order of messages. The token
is held unacked until the job's next status is committed: the broker's count of unacked messages is the number of jobs being worked on, and
its redelivery after our death finds nothing to claim and is acked by whoever gets it.
"""

import asyncio
import contextlib

import structlog
from aio_pika.abc import AbstractIncomingMessage

from common import ids, topology, tracing
from common.broker import Broker, settle
from common.database import AWAY, Pool
from common.envelope import Event, from_message
from common.errors import PermanentError
from common.ids import LeaseToken
from common.jobs import store
from common.jobs.job import Job
from services.transcriber.attempt import Attempts
from services.transcriber.child import Engine
from services.transcriber.settings import Settings, worker_name

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 1.0


class _StoppedInVain(Exception):
    """The service stops, and whether there is a job nobody could ask."""


class Worker:
    """`slots` of these run side by side; each has at most one job."""

    def __init__(self, *, pool: Pool, broker: Broker, engine: Engine, attempts: Attempts, settings: Settings) -> None:
        self._pool = pool
        self._broker = broker
        self._engine = engine
        self._attempts = attempts
        self._settings = settings
        self._name = worker_name()

    async def run(self, slot: int, stopping: asyncio.Event) -> None:
        """Take tokens until `stopping`. Lower slots are served first, so that an idle worker goes before a busy one's spare slot."""
        await self._until_ready(stopping)
        async for message in self._broker.deliveries(topology.TRANSCRIBER_JOBS, stopping=stopping, priority=-slot):
            await self._take(message, stopping)

    async def _until_ready(self, stopping: asyncio.Event) -> None:
        ready = asyncio.create_task(self._engine.ready.wait(), name="engine-ready")
        stop = asyncio.create_task(stopping.wait(), name="stop-before-ready")
        await asyncio.wait((ready, stop), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        stop.cancel()

    async def _take(self, message: AbstractIncomingMessage, stopping: asyncio.Event) -> None:
        try:
            event = from_message(message)
        except PermanentError as error:
            log.error("poison", error=error.message)
            await settle(message, poison=True)
            return
        try:
            job = await self._claim(stopping)
        except _StoppedInVain:
            return  # unacked: the broker gives the token to another worker
        if job is not None:
            await self._process(event, job)
            await self._pass_on(job, stopping)
        await settle(message)

    async def _claim(self, stopping: asyncio.Event) -> Job | None:
        """The best job, or None; waits while Postgres is away, holding the token. Raises `_StoppedInVain` when told to stop meanwhile."""
        while not stopping.is_set():
            try:
                async with self._pool.acquire() as connection:
                    token = LeaseToken(ids.new())
                    return await store.claim(
                        connection,
                        token,
                        lease=self._settings.lease,
                        worker=self._name,
                        jobs_per_tenant=self._settings.max_jobs_per_tenant,
                    )
            except AWAY as error:
                log.warning("claim failed", error=repr(error))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), _RETRY_SECONDS)
        raise _StoppedInVain

    async def _pass_on(self, job: Job, stopping: asyncio.Event) -> None:
        """Under a limit, the tokens that came while the tenant was at it found nothing and are gone: its next job needs a new one.

        One that is lost here is issued again by the janitor.
        """
        if self._settings.max_jobs_per_tenant is None or stopping.is_set():
            return
        with contextlib.suppress(*AWAY):
            async with self._pool.acquire() as connection:
                await store.pass_on(connection, job.tenant)

    async def _process(self, event: Event, job: Job) -> None:
        """The job's span continues the job's own trace: through the message when it announced this job, else from the submission."""
        own = event.subject == str(job.id)
        with (
            structlog.contextvars.bound_contextvars(job_id=str(job.id)),
            tracing.span(
                "consume transcriber.jobs",
                kind="consumer",
                parent=event.trace if own else job.trace,
                link=None if own else event.trace,
                **{"verbatim.job_id": str(job.id), "verbatim.attempt": job.attempt},
            ),
        ):
            log.info("job started", attempt=job.attempt, size=job.source.size)
            await self._attempts.make(job)
