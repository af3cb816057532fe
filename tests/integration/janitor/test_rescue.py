"""Jobs of workers that stopped renewing their lease."""

import asyncio

from common.database import Pool
from common.jobs import store, upkeep
from services.janitor.duties.rescue import Rescue
from services.janitor.sweeper import Sweeper
from tests.jobs import HOUR, LOST, Announced, announced, claimed, forget_events, queued, reread


async def test_lost_jobs_are_queued_again(pool: Pool, sweeper: Sweeper) -> None:
    """Those whose lease ran out get a new token each, in as many batches as it takes; the others are left with their workers."""
    async with pool.acquire() as connection:
        lost = [await queued(connection) for _ in range(230)]
        for _ in lost:
            await claimed(connection, lease=LOST)
        await queued(connection)
        held = await claimed(connection, lease=HOUR)
        await forget_events(connection)

        report = await sweeper.sweep(Rescue())

        assert report is not None
        assert (report.swept, report.complete) == (230, True)
        assert set(await announced(connection)) == {Announced("job.requeued", str(job.id)) for job in lost}
        assert await store.counts(connection) == {"queued": 230, "processing": 1}
        assert await reread(connection, held) == held


async def test_a_dry_run_rescues_nobody(pool: Pool, sweeper: Sweeper) -> None:
    """It counts, and leaves job and outbox as they are."""
    async with pool.acquire() as connection:
        await queued(connection)
        job = await claimed(connection, lease=LOST)
        await forget_events(connection)
        report = await sweeper.sweep(Rescue(), dry_run=True)
        assert report is not None
        assert report.swept == 1
        assert await reread(connection, job) == job
        assert await announced(connection) == []


async def test_rescues_at_once_give_each_job_one_token(pool: Pool) -> None:
    """Even without the lock, as after a lost connection, two janitors share the jobs and do not double them."""
    async with pool.acquire() as connection:
        for _ in range(300):
            await queued(connection)
            await claimed(connection, lease=LOST)
        await forget_events(connection)

    async def rescue() -> int:
        async with pool.acquire() as connection:
            return len(await upkeep.rescue(connection, limit=200))

    assert sum(await asyncio.gather(*(rescue() for _ in range(4)))) == 300
    async with pool.acquire() as connection:
        assert len(await announced(connection)) == 300
