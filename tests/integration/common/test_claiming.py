"""Who gets which job: the best one first, and never two workers the same."""

import asyncio
from collections import Counter
from datetime import timedelta

from common import ids
from common.database import Pool
from common.ids import LeaseToken
from common.jobs import store, upkeep
from common.jobs.job import Job, Status
from tests.jobs import BROKEN, HOUR, Announced, announced, claimed, forget_events, queued

WORKERS = 20
JOBS = 300


async def test_no_job_is_given_to_two_of_twenty_workers(pool: Pool) -> None:
    """20 workers that claim for as long as there is something get every job exactly once, each announced exactly once."""
    async with pool.acquire() as connection:
        submitted = [await queued(connection) for _ in range(JOBS)]
        await forget_events(connection)

    async def work() -> list[Job]:
        taken = []
        async with pool.acquire() as connection:
            while job := await store.claim(connection, LeaseToken(ids.new()), lease=HOUR, worker="test"):
                taken.append(job)
        return taken

    hauls = await asyncio.gather(*(work() for _ in range(WORKERS)))

    counted = Counter(job.id for haul in hauls for job in haul)
    # A worker that finds the last jobs locked by others goes home early; nothing is left for all that.
    assert counted == Counter(job.id for job in submitted)
    async with pool.acquire() as connection:
        assert Counter(await announced(connection)) == Counter(Announced("job.started", str(job.id)) for job in submitted)
        assert await store.counts(connection) == {"processing": JOBS}


async def test_the_best_job_goes_first(pool: Pool) -> None:
    """By priority, then by age, whatever the order of the tokens."""
    async with pool.acquire() as connection:
        low = await queued(connection, priority="low")
        normal, younger = await queued(connection), await queued(connection)
        high = await queued(connection, priority="high")
        assert [(await claimed(connection)).id for _ in range(4)] == [high.id, normal.id, younger.id, low.id]


async def test_a_claim_starts_the_job(pool: Pool) -> None:
    """The claim sets lease, worker, attempt and start; a second attempt keeps the time of the first start."""
    async with pool.acquire() as connection:
        await queued(connection)
        first = await claimed(connection, lease=timedelta(seconds=15))
        assert (first.status, first.attempt, first.worker, first.stage) == (Status.PROCESSING, 1, "test", "fetch")
        assert first.lease_until is not None
        assert first.started_at is not None
        assert first.lease_until - first.started_at == timedelta(seconds=15)
        await store.release(connection, first)
        assert (await claimed(connection)).started_at == first.started_at


async def test_a_token_too_many_finds_nothing(pool: Pool) -> None:
    """With no job to claim a claim is None, and nothing is announced."""
    async with pool.acquire() as connection:
        assert await store.claim(connection, LeaseToken(ids.new()), lease=HOUR, worker="test") is None
        assert await announced(connection) == []


async def test_a_job_locked_by_another_claim_is_passed_over(pool: Pool) -> None:
    """A claim never waits for another one's transaction: it takes the next best job."""
    async with pool.acquire() as one, pool.acquire() as other:
        best, next_best = await queued(one), await queued(one)
        transaction = one.transaction()
        await transaction.start()
        assert (await claimed(one)).id == best.id
        async with asyncio.timeout(60):
            assert (await claimed(other)).id == next_best.id
        await transaction.rollback()
        assert (await claimed(other)).id == best.id


async def test_tokens_are_counted_in_one_snapshot(pool: Pool) -> None:
    """Claimable jobs, those that have waited, and tokens in the outbox: delayed ones count only when their jobs do."""
    patience = timedelta(minutes=1)
    async with pool.acquire() as connection:
        for _ in range(3):
            await queued(connection)
        await connection.execute("update jobs set claim_after = now() - interval '1 hour', queued_at = now() - interval '1 hour'")
        await queued(connection)
        assert await upkeep.tokens(connection, older_than=patience) == upkeep.Tokens(claimable=4, waiting=3, unpublished=4)

        job = await claimed(connection)
        await forget_events(connection)
        await store.retry(connection, job, BROKEN, HOUR)
        assert await upkeep.tokens(connection, older_than=patience) == upkeep.Tokens(claimable=3, waiting=2, unpublished=0)

        await connection.execute("update outbox set attempt = 1")  # the broker refused it; its job may be claimed by now
        assert (await upkeep.tokens(connection, older_than=patience)).unpublished == 1


async def test_no_job_is_passed_over_for_its_length(pool: Pool) -> None:
    """Who wants short jobs only gets nothing while the best one is long, however short the next is; with and without a tenant's limit."""
    async with pool.acquire() as connection:
        jobs = [await queued(connection, duration=seconds) for seconds in (5.0, 600.0, 5.0)]

        async def short(limit: int | None) -> Job | None:
            token = LeaseToken(ids.new())
            return await store.claim(connection, token, lease=HOUR, worker="test", longest=30.0, jobs_per_tenant=limit)

        first = await short(None)
        assert first is not None
        assert first.id == jobs[0].id
        assert await short(None) is None
        assert await short(10) is None
        assert (await claimed(connection)).id == jobs[1].id
        last = await short(10)
        assert last is not None
        assert last.id == jobs[2].id
