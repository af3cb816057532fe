"""From token to job: a message on `transcriber.jobs` says only that there is something to do.

What is done is the best job that Postgres has (`store.claim`), so priority and fairness do not depend on the order of messages. With a
short one the next best are taken up too, as long as they are short (`company`); their own tokens find nothing to claim and are acked. The
token is held unacked until the next status of all that it led to is committed, so the broker keeps it while there is work. Delivered again
after our death it finds nothing to claim and is acked by whoever gets it.
"""

import asyncio
import contextlib

import structlog
from aio_pika.abc import AbstractIncomingMessage

from common import ids, patience, topology, tracing
from common.broker import Broker, settle
from common.database import AWAY, Pool
from common.envelope import Event, from_message
from common.errors import PermanentError
from common.ids import LeaseToken
from common.jobs import store, upkeep
from common.jobs.job import Job
from services.transcriber.attempt import Attempts
from services.transcriber.child import Engine
from services.transcriber.company import room_for
from services.transcriber.settings import Settings, worker_name

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 1.0


class _StoppedInVain(Exception):
    """The service stops, and whether there is a job nobody could ask."""


class Worker:
    """`slots` of these run side by side; each has one job, or several short ones."""

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
        await self._until_ready(stopping)  # a job that waits in the queue meanwhile may go to another worker; one that we claimed could not
        try:
            job = await self._claim(stopping)
        except _StoppedInVain:
            return  # unacked: the broker gives the token to another worker
        if job is not None:
            await self._process_with_company(event, job, stopping)
        await settle(message)

    async def _process_with_company(self, event: Event, job: Job, stopping: asyncio.Event) -> None:
        """Each begins as soon as it is claimed. A database that goes away, or a stop, only means that no more are claimed."""
        lengths = [job.duration]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._process(event, job, stopping), name=f"job-{job.id}")
            while self._engine.ready.is_set() and (longest := room_for(lengths, self._settings.jobs_in_a_slot)) is not None:
                try:
                    companion = await self._claim(stopping, longest)
                except _StoppedInVain:
                    return
                if companion is None:
                    return
                lengths.append(companion.duration)
                group.create_task(self._process(event, companion, stopping), name=f"job-{companion.id}")

    async def _claim(self, stopping: asyncio.Event, longest: float | None = None) -> Job | None:
        """The best job, or None; waits while Postgres is away, holding the token. Raises `_StoppedInVain` when told to stop meanwhile.

        Postgres may have gone away with the answer, and a job is ours that we do not know of: it is asked for first.
        """
        token, claimed = LeaseToken(ids.new()), False
        while not stopping.is_set():
            try:
                async with self._pool.acquire() as connection:
                    if claimed and (job := await store.held(connection, token)) is not None:
                        return job
                    claimed = True
                    return await store.claim(
                        connection,
                        token,
                        lease=self._settings.lease,
                        worker=self._name,
                        jobs_per_tenant=self._settings.max_jobs_per_tenant,
                        longest=longest,
                    )
            except AWAY as error:
                log.warning("claim failed", error=repr(error))
                await patience.wait(stopping, _RETRY_SECONDS)
        raise _StoppedInVain

    async def _pass_on(self, job: Job, stopping: asyncio.Event) -> None:
        """Under a limit, the tokens that came while the tenant was at it found nothing and are gone: its next job needs a new one.

        One that is lost here is issued again by the janitor.
        """
        if self._settings.max_jobs_per_tenant is None or stopping.is_set():
            return
        with contextlib.suppress(*AWAY):
            async with self._pool.acquire() as connection:
                await upkeep.pass_on(connection, job.tenant)

    async def _process(self, event: Event, job: Job, stopping: asyncio.Event) -> None:
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
        await self._pass_on(job, stopping)
