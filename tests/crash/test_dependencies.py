"""Postgres, RabbitMQ or S3 goes away under a running system and comes back."""

import shutil
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest

from deploy.local.stack import Stack
from tests import bucket
from tests.recordings import sample
from tests.running import Services, wait_until

JOBS = "/api/v1/jobs"
_ENGINE_SECONDS = 8
"""Long enough for servers to go away meanwhile."""

pytestmark = pytest.mark.xdist_group("own stack")  # or each process would start one


@pytest.fixture
async def client(own_service: Services) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an ingest on the test's own stack."""
    ingest = await own_service("ingest")
    async with httpx.AsyncClient(base_url=ingest.url, timeout=60) as http:
        yield http


async def test_submissions_while_a_dependency_is_away(client: httpx.AsyncClient, own_stack: Stack, own_environment: dict[str, str]) -> None:
    """Without Postgres or S3 a submission is refused with 503 and Retry-After and leaves nothing; with them back it is accepted.

    What was accepted at the moment of the kill is there.
    """

    async def refused(code: str) -> None:
        answer = await client.post(JOBS, files={"file": ("talk.wav", sample())})
        assert (answer.status_code, answer.json()["code"]) == (503, code), answer.text
        assert int(answer.headers["retry-after"]) > 0

    async def accepted() -> bool:
        return (await client.post(JOBS, files={"file": ("talk.wav", sample())})).status_code == 202

    assert await accepted()
    own_stack.postgres.kill()
    await refused("database_unavailable")
    own_stack.postgres.start()
    await wait_until(accepted, "ingest to find Postgres again")
    own_stack.seaweedfs.kill()
    await refused("storage_unavailable")
    own_stack.seaweedfs.start()
    await wait_until(accepted, "ingest to find S3 again")
    connection = await asyncpg.connect(own_environment["DATABASE_URL"])
    jobs = await connection.fetchval("select count(*) from jobs")
    await connection.close()
    async with bucket.opened(own_environment) as store:
        assert len([found async for found in store.objects("audio/")]) == jobs


async def test_servers_restart_under_a_job(client: httpx.AsyncClient, own_service: Services, own_stack: Stack) -> None:
    """Postgres and RabbitMQ are killed and started again while the engine works: the same attempt finishes the job."""
    await own_service("transcriber", module="bench.load.transcriber", BENCH_ENGINE_SECONDS=str(_ENGINE_SECONDS))
    job_id = (await client.post(JOBS, files={"file": ("talk.wav", sample())})).json()["id"]

    async def status(wanted: str) -> bool:
        answer = await client.get(f"{JOBS}/{job_id}")
        if answer.status_code == 503:
            return False
        job = answer.json()
        assert job["status"] in {"queued", "processing", "completed"}, job
        assert job["attempt"] <= 1
        return bool(job["status"] == wanted)

    await wait_until(lambda: status("processing"), "a worker to have the job")
    own_stack.rabbitmq.kill()
    own_stack.postgres.kill()
    own_stack.postgres.start()
    own_stack.rabbitmq.start()
    await wait_until(lambda: status("completed"), "the job to be completed", 120)


async def test_broker_that_lost_every_message(client: httpx.AsyncClient, own_service: Services, own_stack: Stack) -> None:
    """A broker that comes back empty costs nothing but time: the topology is declared again and the janitor issues the token anew."""
    job_id = (await client.post(JOBS, files={"file": ("talk.wav", sample())})).json()["id"]

    async def completed() -> bool:
        job = (await client.get(f"{JOBS}/{job_id}")).json()
        return bool(job["status"] == "completed")

    own_stack.rabbitmq.kill()
    shutil.rmtree(own_stack.rabbitmq.directory / "data")
    own_stack.rabbitmq.start()
    await own_service("janitor")
    await own_service("transcriber", module="bench.load.transcriber", BENCH_ENGINE_SECONDS="0")
    await wait_until(completed, "the job to be completed", 120)
