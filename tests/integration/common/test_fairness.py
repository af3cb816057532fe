"""Whose job is next: priority first, between tenants in turns, never more than a tenant's limit, and in the end everybody's."""

import asyncio
from collections import Counter
from datetime import timedelta

from common import ids
from common.database import Connection, Pool
from common.ids import LeaseToken
from common.jobs import store, upkeep
from common.jobs.job import Job
from common.jobs.options import Priority
from tests.jobs import BROKEN, HOUR, LOST, claimed, finished, forget_events, queued

MINUTE = timedelta(minutes=1)


async def tenants(connection: Connection, count: int) -> list[str]:
    """Whose jobs the next claims get."""
    return [(await claimed(connection)).tenant for _ in range(count)]


async def claim_within(connection: Connection, limit: int) -> Job | None:
    """A claim by a worker that knows a limit."""
    return await store.claim(connection, LeaseToken(ids.new()), lease=HOUR, worker="test", jobs_per_tenant=limit)


async def fill(connection: Connection, tenant: str, count: int, priority: Priority = "normal") -> list[Job]:
    """So many jobs of one tenant."""
    return [await queued(connection, tenant=tenant, priority=priority) for _ in range(count)]


async def test_a_thousand_files_of_one_tenant_delay_anothers_by_one(pool: Pool) -> None:
    """However far the large backlog has been worked off, the newcomer's job is claimed at the second claim at the latest."""
    async with pool.acquire() as connection:
        await fill(connection, "large", 1_000)
        await fill(connection, "small", 1)
        assert "small" in await tenants(connection, 2)
        await tenants(connection, 100)
        await fill(connection, "late", 1)
        assert "late" in await tenants(connection, 2)


async def test_several_workers_delay_a_newcomer_by_one_job_each(pool: Pool) -> None:
    """Eight workers that claim at the same moment, one job each: the newcomer's is among them."""
    async with pool.acquire() as connection:
        await fill(connection, "large", 100)
        await tenants(connection, 8)
        await fill(connection, "small", 1)

    async def work() -> str:
        async with pool.acquire() as connection:
            return (await claimed(connection)).tenant

    assert "small" in await asyncio.gather(*(work() for _ in range(8)))


async def test_tenants_take_turns(pool: Pool) -> None:
    """Three tenants with backlogs of different sizes and ages are served in turn until theirs are empty."""
    async with pool.acquire() as connection:
        await fill(connection, "a", 6)
        await fill(connection, "b", 3)
        await fill(connection, "c", 3)
        assert await tenants(connection, 12) == ["a", "b", "c"] * 3 + ["a"] * 3


async def test_who_submits_one_at_a_time_gets_no_more_than_who_submits_all_at_once(pool: Pool) -> None:
    """A tenant that submits the next file as soon as the last one is taken alternates with a backlog, and does not overtake it."""
    async with pool.acquire() as connection:
        await fill(connection, "backlog", 20)
        await fill(connection, "steady", 1)
        served = []
        for _ in range(20):
            served.append((await claimed(connection)).tenant)
            if served[-1] == "steady":
                await fill(connection, "steady", 1)
        assert Counter(served) == {"backlog": 10, "steady": 10}


async def test_submissions_at_the_same_time_each_take_a_turn_of_their_own(pool: Pool) -> None:
    """Sixteen submissions of one tenant that commit together do not share a round, so another tenant's job still goes second."""

    async def submit() -> Job:
        async with pool.acquire() as connection:
            return await queued(connection, tenant="large")

    jobs = await asyncio.gather(*(submit() for _ in range(16)))
    assert sorted(job.turn for job in jobs) == list(range(1, 17))
    async with pool.acquire() as connection:
        await fill(connection, "small", 1)
        assert await tenants(connection, 2) == ["large", "small"]


async def test_priority_goes_before_fairness(pool: Pool) -> None:
    """High before normal before low, and in turns within each."""
    async with pool.acquire() as connection:
        for priority in ("low", "normal", "high"):
            await fill(connection, "a", 2, priority)
        await fill(connection, "b", 1, "high")
        await fill(connection, "b", 1, "low")
        got = [(job.tenant, job.priority) for job in [await claimed(connection) for _ in range(8)]]
        assert got == [("a", 0), ("b", 0), ("a", 0), ("a", 1), ("a", 1), ("a", 2), ("b", 2), ("a", 2)]


async def test_a_job_that_comes_back_keeps_its_place(pool: Pool) -> None:
    """Released, rescued and retried jobs go before those that were behind them."""
    async with pool.acquire() as connection:
        await fill(connection, "a", 5)
        released = await claimed(connection)
        await store.release(connection, released)
        assert (await claimed(connection)).id == released.id
        lost = await claimed(connection, lease=LOST)
        await upkeep.rescue(connection, limit=10)
        assert (await claimed(connection)).id == lost.id
        broken = await claimed(connection)
        await store.retry(connection, broken, BROKEN, timedelta(0))
        assert (await claimed(connection)).id == broken.id


async def test_a_job_tried_again_queues_like_a_new_one(pool: Pool) -> None:
    """Resubmitting a cancelled job puts it behind what its tenant has queued meanwhile."""
    async with pool.acquire() as connection:
        first, *others = await fill(connection, "a", 4)
        await store.cancel(connection, first.id, "a")
        await store.resubmit(connection, first.id, "a")
        assert [(await claimed(connection)).id for _ in range(4)] == [*(job.id for job in others), first.id]


async def test_nobody_gets_more_than_the_limit(pool: Pool) -> None:
    """Twenty workers at once give a tenant exactly its limit of jobs, and others theirs; a job that ends makes room for one."""
    async with pool.acquire() as connection:
        await fill(connection, "a", 50)
        await fill(connection, "b", 2)

    async def work() -> Job | None:
        async with pool.acquire() as connection:
            return await claim_within(connection, 3)

    got = [job for job in await asyncio.gather(*(work() for _ in range(20))) if job is not None]
    assert Counter(job.tenant for job in got) == {"a": 3, "b": 2}
    async with pool.acquire() as connection:
        await finished(connection, next(job for job in got if job.tenant == "a"))
        assert getattr(await claim_within(connection, 3), "tenant", None) == "a"
        assert await claim_within(connection, 3) is None


async def test_a_claim_within_a_limit_keeps_the_order(pool: Pool) -> None:
    """As long as no tenant is at its limit, jobs come in the order in which they come without one."""
    async with pool.acquire() as connection:
        await fill(connection, "a", 3, "low")
        await fill(connection, "b", 2)
        await fill(connection, "c", 3)
        await fill(connection, "a", 1, "high")
        got = [job.tenant for _ in range(9) if (job := await claim_within(connection, 100)) is not None]
        assert got == ["a", "b", "c", "b", "c", "c", "a", "a", "a"]


async def test_jobs_beyond_the_limit_want_no_tokens(pool: Pool) -> None:
    """What the workers' limit keeps from being claimed does not count as claimable, so the janitor issues no tokens for it."""
    async with pool.acquire() as connection:
        await fill(connection, "a", 10)
        await fill(connection, "b", 1)
        await connection.execute(
            "insert into workers (id, name, slots, jobs_per_tenant, alive_until) values ($1, 'w', 4, 2, now() + interval '1 hour')",
            ids.new(),
        )
        await forget_events(connection)
        assert (await upkeep.tokens(connection, older_than=MINUTE)).claimable == 3
        await claim_within(connection, 2)
        assert (await upkeep.tokens(connection, older_than=MINUTE)).claimable == 2
        await connection.execute("update workers set jobs_per_tenant = null")
        assert (await upkeep.tokens(connection, older_than=MINUTE)).claimable == 10


async def test_age_lifts_priority_and_then_urgent_jobs_wait_for_one(pool: Pool) -> None:
    """A low job that has waited long goes up band by band and is served among urgent ones; of each tenant one job at a time goes up."""
    async with pool.acquire() as connection:
        low, *_ = await fill(connection, "a", 3, "low")
        await fill(connection, "a", 2, "high")
        assert await upkeep.lift(connection, older_than=MINUTE, limit=10) == []
        await connection.execute("update jobs set band_since = band_since - interval '2 minutes'")
        [lifted] = await upkeep.lift(connection, older_than=MINUTE, limit=10)
        assert (lifted.id, lifted.band, lifted.priority) == (low.id, 1, 2)
        assert await upkeep.lift(connection, older_than=MINUTE, limit=10) == []

        await connection.execute("update jobs set band_since = band_since - interval '2 minutes'")
        again = await upkeep.lift(connection, older_than=MINUTE, limit=10)
        assert {(job.id, job.band) for job in again} >= {(low.id, 0)}
        await fill(connection, "a", 2, "high")
        served = [await claimed(connection) for _ in range(5)]
        assert [job.priority for job in served] == [0, 0, 2, 0, 0]
        assert served[2].id == low.id


async def test_a_lifted_backlog_does_not_stand_in_the_way(pool: Pool) -> None:
    """With 50 normal jobs that are all old, an urgent one of the same tenant still waits for one of them at the most."""
    async with pool.acquire() as connection:
        await fill(connection, "a", 50)
        await connection.execute("update jobs set band_since = now() - interval '1 day'")
        for _ in range(5):
            await upkeep.lift(connection, older_than=MINUTE, limit=10)
        await fill(connection, "a", 1, "high")
        assert 0 in [(await claimed(connection)).priority for _ in range(2)]
