"""What Postgres tells of a job that changes: on which channel, and with which number."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from common import ids
from common.database import Pool
from common.ids import JobId
from common.jobs import state, store
from common.jobs.watch import CHANNEL, PROGRESS_CHANNEL
from tests.jobs import HOUR, claimed, finished, queued

Told = asyncio.Queue[tuple[str, str]]


@pytest.fixture
async def told(pool: Pool) -> AsyncIterator[Told]:
    """What is notified, as (channel, job id)."""
    heard: Told = asyncio.Queue()

    def hear(_connection: object, _pid: object, channel: str, payload: object) -> None:
        heard.put_nowait((channel, str(payload)))

    async with pool.acquire() as connection:
        for channel in (CHANNEL, PROGRESS_CHANNEL):
            await connection.add_listener(channel, hear)
        yield heard
        for channel in (CHANNEL, PROGRESS_CHANNEL):
            await connection.remove_listener(channel, hear)


async def test_progress_has_a_channel_of_its_own(pool: Pool, told: Told) -> None:
    """Status changes wake those who act on them; a heartbeat wakes only those who show progress, and only when there is some."""
    async with asyncio.timeout(60), pool.acquire() as connection:
        await queued(connection)
        job = await claimed(connection)
        assert await told.get() == (CHANNEL, str(job.id))
        for percent in (20, 20, 30):  # the second tells nothing new
            await store.renew(connection, job, lease=HOUR, stage="vad", progress=percent)
        await finished(connection, job)
        heard = [await told.get() for _ in range(3)]
        assert heard == [(PROGRESS_CHANNEL, str(job.id)), (PROGRESS_CHANNEL, str(job.id)), (CHANNEL, str(job.id))]
        assert told.empty()


async def test_revisions_count_what_a_watcher_can_see(pool: Pool) -> None:
    """Every visible change has a higher number; renewing a lease alone has not; another tenant reads nothing."""
    async with pool.acquire() as connection:
        job = await queued(connection)
        seen = []

        async def look() -> None:
            found = await state.read(connection, job.id, job.tenant)
            assert found is not None
            assert await state.read_many(connection, [job.id, JobId(ids.new())]) == {job.id: found}
            seen.append((found.revision, found.status.value, found.stage, round(found.progress)))

        await look()
        leased = await claimed(connection)
        await look()
        for percent in (20, 20):
            await store.renew(connection, leased, lease=HOUR, stage="vad", progress=percent)
            await look()
        await finished(connection, leased)
        await look()
        assert seen == [
            (0, "queued", None, 0),
            (1, "processing", "fetch", 0),
            (2, "processing", "vad", 20),
            (2, "processing", "vad", 20),
            (3, "completed", None, 100),
        ]
        assert await state.read(connection, job.id, "other") is None
