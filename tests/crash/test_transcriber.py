"""`kill -9` of a transcriber in the middle of a job."""

import asyncio
import time
from typing import Any

import aio_pika
import asyncpg
import httpx
import psutil
import pytest
from openai import AsyncOpenAI
from openai.types.audio import TranscriptionDiarized

from common.storage import Storage
from tests import bucket
from tests.recordings import sample
from tests.running import Services, standstill, wait_until

JOBS = "/api/v1/jobs"
_LEASE_SECONDS = 15
_SLACK_SECONDS = 5
_FEWER = 2
"""A minute: long enough to be killed while speakers are told apart."""


@pytest.mark.timeout(600)
async def test_another_worker_finishes_the_job(service: Services, environment: dict[str, str], database_url: str) -> None:
    """Another worker has it within the lease and five seconds, and goes on from its checkpoints: one `job.completed`, one result.

    The job is that of a call which waits for it; the call notices nothing.
    """
    ingest = await service("ingest")
    await service("janitor")
    workers = [await service("transcriber", CHECKPOINT_LEAST_SECONDS="0") for _ in range(2)]
    connection = await asyncpg.connect(database_url)
    broker = await aio_pika.connect(environment["AMQP_URL"])
    async with broker, httpx.AsyncClient(base_url=ingest.url, timeout=60) as client:
        channel = await broker.channel()
        completions = await channel.declare_queue(exclusive=True)
        await completions.bind("verbatim.events", "job.completed")
        call = asyncio.create_task(diarized(ingest.url))
        job_id = await until_submitted(connection)

        async def row() -> asyncpg.Record:
            found = await connection.fetchrow("select * from jobs where id = $1", job_id)
            assert found is not None
            return found

        async with bucket.opened(environment) as store:
            await wait_until(lambda: store.exists(f"checkpoints/{job_id}.transcribe.json"), "what was heard to be stored", 120)
        before = await row()
        victim = next(worker for worker in workers if before["worker"].endswith(f":{worker.pid}"))
        orphans = psutil.Process(victim.pid).children(recursive=True)

        async def taken_over() -> bool:
            now = await row()
            return bool(now["attempt"] == 2 and now["worker"] != before["worker"])

        async with standstill() as excused:
            victim.kill()
            killed = time.monotonic()
            await wait_until(taken_over, "another worker to take the job", _LEASE_SECONDS + 60)
            took = time.monotonic() - killed
            print(f"taken over {took:.1f} s after the kill")  # noqa: T201 - shown with -rP
            assert took <= _LEASE_SECONDS + _SLACK_SECONDS + excused()
        assert orphans
        await wait_until(lambda: not any(child.is_running() for child in orphans), "the engine child to follow its parent")

        async def completed() -> bool:
            job: dict[str, Any] = (await client.get(f"{JOBS}/{job_id}")).json()
            assert job["status"] in {"processing", "completed"}, job
            return bool(job["status"] == "completed")

        await wait_until(completed, "the job to be completed", 360)  # the first time, models are fetched meanwhile
        message = await completions.get(timeout=60)
        assert message.headers["ce-subject"] == job_id
        assert await completions.get(fail=False, timeout=60) is None
        transcript = (await client.get(f"{JOBS}/{job_id}/transcript")).json()
        assert "diarize" in transcript["timings"]
        assert "transcribe" not in transcript["timings"], "what the first attempt had done was done again"
        heard = await call
        assert (heard.text, {segment.speaker for segment in heard.segments}) == (transcript["text"], {"A", "B"})
    async with bucket.opened(environment) as store:
        await wait_until(lambda: gone(store), "the checkpoints to be deleted")
        assert len([found async for found in store.objects("results/")]) == 1
    await connection.close()


async def diarized(url: str) -> TranscriptionDiarized:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        file = ("talk.wav", sample(_FEWER))
        return await client.audio.transcriptions.create(file=file, model="gpt-4o-transcribe-diarize", response_format="diarized_json")


async def until_submitted(connection: asyncpg.Connection) -> str:
    async def there() -> bool:
        return bool(await connection.fetchval("select count(*) from jobs"))

    await wait_until(there, "the job")
    return str(await connection.fetchval("select id from jobs"))


async def gone(store: Storage) -> bool:
    return not [found async for found in store.objects("checkpoints/")]


async def test_shutdown_gives_the_job_back(service: Services, environment: dict[str, str], database_url: str) -> None:
    """SIGTERM in the middle of a job that cannot be finished in time releases it without spending the attempt."""
    ingest = await service("ingest")
    worker = await service(
        "transcriber", module="bench.load.transcriber", BENCH_ENGINE_SECONDS="60", HEARTBEAT_SECONDS="0.5", DRAIN_SECONDS="0.5"
    )
    connection = await asyncpg.connect(database_url)
    async with httpx.AsyncClient(base_url=ingest.url, timeout=60) as client:
        await client.post(JOBS, files={"file": ("talk.wav", sample())})

    async def on_the_engine() -> bool:
        return bool(await connection.fetchval("select stage = 'transcribe' from jobs"))

    await wait_until(on_the_engine, "the engine to have the job", 60)
    worker.terminate()
    assert await worker.gone() == 0
    released = await connection.fetchrow("select status, attempt, lease_token, worker from jobs")
    assert released is not None
    assert tuple(released) == ("queued", 0, None, None)
    await connection.close()
