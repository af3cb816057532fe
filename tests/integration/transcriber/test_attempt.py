"""How an attempt ends when the job is taken from it."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from common.broker import Broker
from common.database import Pool
from common.jobs import store
from common.jobs.job import Job
from common.jobs.options import Sensitive
from common.jobs.watch import Watch
from common.storage import Storage
from common.storage_keys import source_key
from services.transcriber.attempt import Attempts
from services.transcriber.child import Engine
from services.transcriber.heartbeat import Heartbeat
from services.transcriber.limits import Limits
from services.transcriber.protocol import Done, Stage, StageDone, Transcribe
from services.transcriber.settings import Settings
from tests.jobs import claimed, queued, reread
from tests.running import wait_until

SCRIPTED = (sys.executable, "-m", "tests.scripted_engine")
SECONDS = 60
SETTINGS = Settings(
    database_url="", amqp_url="", aws_access_key_id="", aws_secret_access_key="", lease_seconds=1_000, heartbeat_seconds=300
)


class Hanging(Storage):
    """A bucket that takes for ever at one of the two stages that are its own."""

    def __init__(self, storage: Storage, stage: Stage) -> None:
        super().__init__(storage._client, storage.bucket)
        self.asked, self._stage = asyncio.Event(), stage

    async def download(self, key: str, path: Path) -> None:
        if self._stage == "fetch":
            await self._hang()
        await super().download(key, path)

    async def put(self, key: str, data: bytes, *, content_type: str) -> None:  # noqa: ARG002 - the interface
        if key.startswith("results/"):
            await self._hang()

    async def _hang(self) -> None:
        self.asked.set()
        await asyncio.Event().wait()


@pytest.mark.parametrize("stage", ["fetch", "store"])
async def test_cancelling_ends_an_attempt_that_waits_for_the_store(
    pool: Pool, broker: Broker, storage: Storage, tmp_path: Path, stage: Stage
) -> None:
    """With the news, long before the next heartbeat, and with nothing left to wait for; the job stays cancelled."""
    async with pool.acquire() as connection:
        job = await queued(connection)
        await storage.put(source_key(job.id), b"sound", content_type="audio/wav")
        job = await claimed(connection)
    hanging, watch = Hanging(storage, stage), Watch()
    engine = Engine(limits=Limits(job=timedelta(seconds=SECONDS)), command=SCRIPTED)
    attempts = Attempts(pool=pool, storage=hanging, broker=broker, engine=engine, watch=watch, scratch=tmp_path, settings=SETTINGS)
    child = asyncio.create_task(engine.run())
    try:
        attempt = asyncio.create_task(attempts.make(job))
        await asyncio.wait_for(hanging.asked.wait(), SECONDS)
        async with pool.acquire() as connection:
            await store.cancel(connection, job.id, job.tenant)
            watch.notify(str(job.id))
            await asyncio.wait_for(attempt, SECONDS)
            assert (await reread(connection, job)).status == "cancelled"
    finally:
        child.cancel()
        await asyncio.gather(child, return_exceptions=True)


class Lingering(Attempts):
    """Its work begins, and takes its time to end."""

    begun, may_end = asyncio.Event(), asyncio.Event()

    async def _work(self, job: Job, beat: Heartbeat) -> Any:  # noqa: ARG002 - the interface
        try:
            self.begun.set()
            await asyncio.Event().wait()
        finally:
            await self.may_end.wait()


async def test_no_heartbeat_outlives_its_attempt(pool: Pool, broker: Broker, storage: Storage, tmp_path: Path) -> None:
    """It goes on while the work puts away what it has; who is cancelled again meanwhile waits for neither, and the job is given back."""
    async with pool.acquire() as connection:
        await queued(connection)
        job = await claimed(connection)
    engine = Engine(limits=Limits(job=timedelta(seconds=SECONDS)), command=SCRIPTED)
    attempts = Lingering(pool=pool, storage=storage, broker=broker, engine=engine, watch=Watch(), scratch=tmp_path, settings=SETTINGS)
    attempt = asyncio.create_task(attempts.make(job))
    await asyncio.wait_for(attempts.begun.wait(), SECONDS)

    def beating() -> list[str]:
        return [task.get_name() for task in asyncio.all_tasks() if task.get_name() == f"heartbeat-{job.id}"]

    attempt.cancel()
    await asyncio.sleep(0.1)
    assert beating()
    attempt.cancel()
    await asyncio.gather(attempt, return_exceptions=True)
    assert not beating()
    attempts.may_end.set()
    async with pool.acquire() as connection:
        assert (await reread(connection, job)).status == "queued"


class Asked(Engine):
    """Remembers what it was asked for."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.requests = list[Transcribe]()

    async def transcribe(self, request: Transcribe, *arguments: Any) -> tuple[Done, list[StageDone]]:
        self.requests.append(request)
        return await super().transcribe(request, *arguments)


@pytest.mark.parametrize("redact", [(), ("phone",)], ids=["plain", "redacted"])
async def test_what_is_to_be_redacted_is_written_nowhere_before_it_is(
    pool: Pool, broker: Broker, storage: Storage, tmp_path: Path, redact: tuple[Sensitive, ...]
) -> None:
    """A checkpoint holds all words that were heard, and goes to the store; and the copy is all that is left of the recording."""
    async with pool.acquire() as connection:
        job = await queued(connection, redact=redact)
        await storage.put(source_key(job.id), b"sound", content_type="audio/wav")
        job = await claimed(connection)
        engine = Asked(limits=Limits(job=timedelta(seconds=SECONDS)), command=SCRIPTED)
        attempts = Attempts(pool=pool, storage=storage, broker=broker, engine=engine, watch=Watch(), scratch=tmp_path, settings=SETTINGS)
        child = asyncio.create_task(engine.run())
        try:
            await asyncio.wait_for(attempts.make(job), SECONDS)
        finally:
            child.cancel()
            await asyncio.gather(child, return_exceptions=True)
        done = await reread(connection, job)
    assert (done.status, done.error) == ("completed", None)
    [request] = engine.requests
    assert (request.checkpoints is None, request.audio is not None) == (bool(redact), bool(redact))
    assert done.result is not None
    kept = {*done.result.keys.values(), *([] if redact else [job.source_key])}
    assert {found.key async for found in storage.objects()} == kept


async def test_a_stop_gives_back_a_job_whose_failure_is_being_written_down(
    pool: Pool, broker: Broker, storage: Storage, tmp_path: Path
) -> None:
    """It does not stay leased to a worker that is gone; and a disk that is full or away fails no job for good."""
    engine = Engine(limits=Limits(job=timedelta(seconds=SECONDS)), command=SCRIPTED)
    place = tmp_path / "unmounted"
    attempts = Attempts(pool=pool, storage=storage, broker=broker, engine=engine, watch=Watch(), scratch=place, settings=SETTINGS)
    async with pool.acquire() as connection:
        await queued(connection)
        job = await claimed(connection)
        async with connection.transaction():
            await connection.execute("select from jobs where id = $1 for update", job.id)
            attempt = asyncio.create_task(attempts.make(job))

            async def waits() -> bool:
                ours = "wait_event_type = 'Lock' and datname = current_database()"
                query = f"select exists (select from pg_stat_activity where {ours} and query like '-- retry_job%')"  # noqa: S608 - our own words
                return bool(await pool.fetchval(query))

            await wait_until(waits, "the failure to be written down", SECONDS)
            attempt.cancel()
        await asyncio.wait((attempt,), timeout=SECONDS)
        assert attempt.cancelled()
        assert (await reread(connection, job)).status == "queued"


class Away(Pool):
    """A database that is away the first time that it is wanted."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self._asked = pool, False

    def acquire(self, *, timeout: float | None = None) -> Any:  # noqa: ARG002 - the inherited signature
        self._asked, asked = True, self._asked
        if not asked:
            raise ConnectionRefusedError
        return self._pool.acquire()


async def test_a_database_that_is_away_for_long_fails_no_job(pool: Pool, broker: Broker, storage: Storage, tmp_path: Path) -> None:
    """Another attempt that cannot be written down in time is the lease's end to bring about, not the job's end when Postgres is back."""
    engine = Engine(limits=Limits(job=timedelta(seconds=SECONDS)), command=SCRIPTED)
    attempts = Attempts(
        pool=Away(pool),
        storage=storage,
        broker=broker,
        engine=engine,
        watch=Watch(),
        scratch=tmp_path / "unmounted",
        settings=SETTINGS,
        patience=0,
    )
    async with pool.acquire() as connection:
        await queued(connection)
        job = await claimed(connection)
        await attempts.make(job)
        assert (await reread(connection, job)).status == "processing"


async def test_a_disk_that_refuses_is_told(pool: Pool, broker: Broker, storage: Storage, tmp_path: Path) -> None:
    """The job is tried again, and says why."""
    engine = Engine(limits=Limits(job=timedelta(seconds=SECONDS)), command=SCRIPTED)
    place = tmp_path / "unmounted"
    attempts = Attempts(pool=pool, storage=storage, broker=broker, engine=engine, watch=Watch(), scratch=place, settings=SETTINGS)
    async with pool.acquire() as connection:
        await queued(connection)
        await attempts.make(await claimed(connection))
        [row] = await connection.fetch("select status, error from jobs")
    assert (row["status"], row["error"]["code"]) == ("queued", "scratch_failed")
