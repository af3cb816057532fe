"""What a slot takes up with one token: one job, or several short ones at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec

from common import ids, topology
from common.broker import Broker
from common.database import Connection, Pool
from common.envelope import Event
from common.ids import EventId
from common.jobs import store
from common.jobs.job import Job
from services.transcriber.attempt import Attempts
from services.transcriber.child import Engine
from services.transcriber.limits import Limits
from services.transcriber.settings import Settings
from services.transcriber.worker import Worker
from tests.jobs import BROKEN, queued
from tests.running import wait_until

SECONDS = 60
SETTINGS = Settings(database_url="", amqp_url="", aws_access_key_id="", aws_secret_access_key="", short_jobs_together=3)


class Meeting(Attempts):
    """Attempts that begin as they are made and all end, in failure, when told to."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.begun: asyncio.Queue[Job] = asyncio.Queue()
        self.end = asyncio.Event()

    async def make(self, job: Job) -> None:
        self.begun.put_nowait(job)
        await self.end.wait()
        async with self._pool.acquire() as connection:
            await store.fail(connection, job, BROKEN)


class Interrupted:
    """The pool, whose first answer is lost with its connection: what was done with that is done."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self._lost = pool, False

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        async with self._pool.acquire() as connection:
            yield connection
        if not self._lost:
            self._lost = True
            raise asyncpg.ConnectionDoesNotExistError


def ready() -> Engine:
    engine = Engine(limits=Limits(job=timedelta(seconds=SECONDS)))
    engine.ready.set()
    return engine


async def issue_token(broker: Broker) -> None:
    event = Event(id=EventId(ids.new()), type="job.created", source="/verbatim", subject=str(ids.new()), time=datetime.now(UTC), data=b"{}")
    await broker.publish(event, mandatory=True)


async def claimed_by_another(connection: Connection) -> Job | None:
    return await store.claim(connection, ids.LeaseToken(ids.new()), lease=timedelta(hours=1), worker="another")


@asynccontextmanager
async def working(pool: Pool, broker: Broker, engine: Engine, settings: Settings = SETTINGS) -> AsyncIterator[Meeting]:
    """One slot, and one token for it."""
    attempts, stopping = Meeting(pool), asyncio.Event()
    worker = Worker(pool=pool, broker=broker, engine=engine, attempts=attempts, settings=settings)
    slot = asyncio.create_task(worker.run(0, stopping))
    await issue_token(broker)
    try:
        yield attempts
    finally:
        attempts.end.set()
        stopping.set()
        await asyncio.wait_for(slot, SECONDS)


async def begun(attempts: Meeting, count: int) -> list[Job]:
    async with asyncio.timeout(SECONDS):
        return [await attempts.begun.get() for _ in range(count)]


async def test_short_jobs_are_taken_up_together(pool: Pool, broker: Broker) -> None:
    """One token, several short jobs at once, in the queue's order, no more than the setting says; all are brought to their end."""
    async with pool.acquire() as connection:
        jobs = [await queued(connection, duration=5.0) for _ in range(4)]
        async with working(pool, broker, ready()) as attempts:
            assert [job.id for job in await begun(attempts, 3)] == [job.id for job in jobs[:3]]
            await claimed_by_another(connection)
            assert attempts.begun.empty()
        assert await store.counts(connection) == {"failed": 3, "processing": 1}


async def test_short_jobs_for_a_server_are_taken_up_one_by_one(pool: Pool, broker: Broker) -> None:
    """It would hear them one by one, and another worker could have had them."""
    async with pool.acquire() as connection:
        for _ in range(2):
            await queued(connection, duration=5.0)
        async with working(pool, broker, ready(), msgspec.structs.replace(SETTINGS, engine="openai")) as attempts:
            await begun(attempts, 1)
        assert await store.counts(connection) == {"failed": 1, "queued": 1}


async def test_a_long_job_has_no_company(pool: Pool, broker: Broker) -> None:
    """Neither beside a long job nor past one is anything claimed."""
    async with pool.acquire() as connection:
        for seconds in (5.0, 600.0, 5.0):
            await queued(connection, duration=seconds)
        async with working(pool, broker, ready()) as attempts:
            await begun(attempts, 1)
        assert await store.counts(connection) == {"failed": 1, "queued": 2}


async def test_a_claim_whose_answer_was_lost_is_known_all_the_same(pool: Pool, broker: Broker) -> None:
    """Else its job would lie until its lease ends, and lose an attempt, while another is worked on."""
    async with pool.acquire() as connection:
        jobs = [await queued(connection, duration=600.0) for _ in range(2)]
        async with working(Interrupted(pool), broker, ready()) as attempts:  # type: ignore[arg-type]
            assert [job.id for job in await begun(attempts, 1)] == [jobs[0].id]
        assert await store.counts(connection) == {"failed": 1, "queued": 1}


async def test_nothing_is_claimed_while_the_engine_starts_again(pool: Pool, broker: Broker) -> None:
    """The token is held, and the job goes to whoever can begin."""
    engine = ready()

    async def delivered() -> bool:
        return await broker.ready(topology.TRANSCRIBER_JOBS) == 0

    async with pool.acquire() as connection:
        await queued(connection)
        async with working(pool, broker, engine) as attempts:
            await begun(attempts, 1)
            job = await queued(connection)
            engine.ready.clear()
            attempts.end.set()
            await issue_token(broker)
            await wait_until(delivered, "the slot to have the token")
            found = await claimed_by_another(connection)
            assert found is not None
            assert found.id == job.id
            engine.ready.set()
