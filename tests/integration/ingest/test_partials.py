"""What is heard, from an engine through the transcriber's parent and Postgres to those who watch the job."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
import pytest

from common.broker import Broker
from common.database import Pool
from common.jobs import store
from common.jobs.job import Job
from common.jobs.watch import Watch
from common.storage import Storage
from services.ingest.sessions import CHANNEL as SESSIONS
from services.transcriber.attempt import Attempts
from services.transcriber.child import Engine
from services.transcriber.limits import Limits
from services.transcriber.settings import Settings
from tests.integration.ingest.test_watching import JOBS, Seen, events, received
from tests.jobs import claimed, queued
from tests.running import RunningService, Services, wait_until
from tests.sockets import connect

SETTINGS = Settings(database_url="", amqp_url="", aws_access_key_id="", aws_secret_access_key="")
SCRIPTED = (sys.executable, "-m", "tests.scripted_engine")


@asynccontextmanager
async def attempted(pool: Pool, broker: Broker, storage: Storage, job: Job) -> AsyncIterator[None]:
    """An attempt at the job, by an engine that hears something and waits; at the end of the block the job is given back."""
    await storage.put(job.source_key, b"sound", content_type="audio/wav")
    engine = Engine(limits=Limits(job=timedelta(seconds=60)), command=SCRIPTED)
    with tempfile.TemporaryDirectory() as folder:
        attempts = Attempts(
            pool=pool, storage=storage, broker=broker, engine=engine, watch=Watch(), scratch=Path(folder), settings=SETTINGS
        )
        tasks = [asyncio.create_task(engine.run()), asyncio.create_task(attempts.make(job))]
        try:
            yield
        finally:
            for task in reversed(tasks):
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


async def begun(pool: Pool, **asked: object) -> Job:
    """A job whose engine hears something whatever is asked, and then waits."""
    async with pool.acquire() as connection:
        await queued(connection)
        job = await claimed(connection)
    return msgspec.structs.replace(job, options=msgspec.structs.replace(job.options, prompt="let go", **asked))


async def test_watchers_see_what_is_heard(
    ingest: RunningService, service: Services, client: httpx.AsyncClient, pool: Pool, broker: Broker, storage: Storage
) -> None:
    """By either kind of stream, and whichever process it is of; without an id, as it is not told again. Others' watchers see nothing."""
    second = await service("ingest")
    job = await begun(pool)
    async with pool.acquire() as connection:
        other = await queued(connection)
    async with (
        client.stream("GET", f"{JOBS}/{job.id}/events") as answer,
        connect(f"{second.url.replace('http', 'ws', 1)}{JOBS}/{job.id}/ws") as socket,
        connect(f"{ingest.url.replace('http', 'ws', 1)}{JOBS}/{other.id}/ws") as apart,
        asyncio.timeout(120),
    ):
        stream = events(answer)
        await anext(stream)
        await socket.recv()
        await apart.recv()
        await wait_until(lambda: listening(pool, 2), "both to listen: what is told before is told to nobody")
        async with attempted(pool, broker, storage, job):
            heard = await first_segment(stream)
            assert heard == Seen("segment", {"start": 6.7, "end": 11.7, "text": "Hello, this is Diane."})
            while (told := received(await socket.recv())).type != "segment":
                pass
            assert told == heard
        assert (await anext(after(stream, "queued"))).id > 0
        async with pool.acquire() as connection:
            await store.cancel(connection, other.id, other.tenant)
        assert received(await apart.recv()).data["status"] == "cancelled", "the first that is told of the other job"


async def listening(pool: Pool, processes: int) -> bool:
    """Whether so many processes have come to the last of the channels that they listen on, or look by now whether they still do."""
    query = (
        "select count(*) from pg_stat_activity"
        " where datname = current_database() and application_name = 'verbatim-listen' and query = any($1) and state = 'idle'"
    )
    return bool(await pool.fetchval(query, [f'LISTEN "{SESSIONS}"', "select 1"]) == processes)


async def first_segment(stream: AsyncIterator[Seen]) -> Seen:
    return await anext(seen async for seen in stream if seen.type == "segment")


async def after(stream: AsyncIterator[Seen], status: str) -> AsyncIterator[Seen]:
    async for seen in stream:
        if seen.data.get("status") == status:
            yield seen


@pytest.mark.parametrize("asked", [{"redact": ("phone",)}, {"mask_profanity": True}], ids=["redact", "mask"])
async def test_what_is_to_be_taken_out_is_shown_to_nobody(
    client: httpx.AsyncClient, pool: Pool, broker: Broker, storage: Storage, asked: dict[str, object]
) -> None:
    """Even if an engine tells what it hears, of a job with something to redact or mask nothing reaches a watcher."""
    job = await begun(pool, **asked)
    async with client.stream("GET", f"{JOBS}/{job.id}/events") as answer, asyncio.timeout(60):
        stream, kinds = events(answer), list[str]()
        async with attempted(pool, broker, storage, job):
            async for seen in stream:
                kinds.append(seen.type)
                if seen.data.get("progress") == 50:
                    break
        async for seen in stream:
            kinds.append(seen.type)
            if seen.data.get("status") == "queued":
                break
    assert "segment" not in kinds
