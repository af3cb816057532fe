"""Ingest as a real process on real servers, and ways to look at what it left there."""

from collections.abc import AsyncIterator

import asyncpg
import httpx
import msgspec
import pytest

from common.storage import Storage
from tests import bucket, recordings
from tests.running import RunningService, Services, wait_until


@pytest.fixture
async def ingest(service: Services) -> RunningService:
    """Ingest, ready, with authentication off."""
    return await service("ingest")


@pytest.fixture
async def client(ingest: RunningService) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of that ingest."""
    async with httpx.AsyncClient(base_url=ingest.url, timeout=90) as http:
        yield http


@pytest.fixture(scope="session")
def sample() -> bytes:
    """The two-speaker conversation that pyannote.audio ships (30 s, WAV)."""
    return recordings.sample()


async def until_ready(client: httpx.AsyncClient) -> dict[str, str]:
    """What is said of each dependency, once all have answered as soon as is expected of them."""
    answer: list[httpx.Response] = []

    async def ready() -> bool:
        answer.append(await client.get("/health/ready"))
        return answer[-1].status_code == 200

    await wait_until(ready, "ingest to be ready")
    found: dict[str, str] = answer[-1].json()
    return found


class Traces(msgspec.Struct, frozen=True):
    """What a submission can leave behind."""

    jobs: int
    events: int
    objects: int
    uploads: int


NOTHING = Traces(0, 0, 0, 0)


@pytest.fixture
async def store(environment: dict[str, str]) -> AsyncIterator[Storage]:
    """The bucket that ingest writes to."""
    async with bucket.opened(environment) as opened:
        yield opened


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The database that ingest writes to."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def left_behind(store: Storage, database: asyncpg.Connection) -> Traces:
    """Everything that is in Postgres and S3 now."""
    return Traces(
        jobs=await database.fetchval("select count(*) from jobs"),
        events=await database.fetchval("select count(*) from outbox"),
        objects=len([found async for found in store.objects()]),
        uploads=len([found async for found in store.open_uploads()]),
    )
