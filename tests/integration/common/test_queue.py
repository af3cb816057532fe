"""The queue as Postgres tells it: positions in the order of claims, what waits, who works, how fast and how well that was foretold."""

from datetime import timedelta

import msgspec
import pytest

from common import ids
from common.database import Connection, Pool
from common.jobs import queue, store
from common.jobs.job import Job, Result, Status
from common.jobs.queue import Load
from tests.jobs import HOUR, claimed, queued, reread

RESULT = Result(bucket="bucket", keys={"transcript": "results/a/b/transcript.json"}, language="en", duration=100.0, speakers=1)

# Some thousand jobs of three tenants in all bands, a second of audio each.
_MANY = """
insert into jobs (id, tenant, status, priority, band, turn, options, source, retention, max_attempts, queued_at, duration)
select gen_random_uuid(), 'tenant ' || n % 3, 'queued', n % 3, n % 3, n / 7, '{}',
       '{"filename":"a","content_type":"audio/wav","size":1,"sha256":"","kind":"audio"}', '1 hour', 3, now(), 1
from generate_series(1, 3000) n
"""


async def positions(connection: Connection, jobs: list[Job]) -> list[int]:
    """What the queue says of these jobs."""
    outlook = await queue.outlook(connection)
    ahead = await queue.ahead(connection, jobs, outlook.milestones)
    return [ahead[job.id].jobs + 1 for job in jobs]


async def test_positions_follow_the_order_of_claims(pool: Pool) -> None:
    """Jobs of several tenants and priorities are claimed in the order of their positions."""
    async with pool.acquire() as connection:
        jobs = [await queued(connection, tenant=name, priority="normal") for name in "aaabac"]
        jobs += [await queued(connection, tenant="a", priority="low"), await queued(connection, tenant="d", priority="high")]
        found = dict(zip([job.id for job in jobs], await positions(connection, jobs), strict=True))
        assert [found[(await claimed(connection)).id] for _ in jobs] == list(range(1, 9))


async def test_positions_past_milestones_are_exact(pool: Pool) -> None:
    """In a queue of several milestones, with what is ahead of a job counted in jobs and in seconds of audio."""
    async with pool.acquire() as connection:
        await connection.execute(_MANY)
        rows = await connection.fetch("select id, tenant from jobs order by band, turn, id")
        chosen = [0, 1, 511, 512, 513, 1_023, 1_024, 2_000, 2_999]
        jobs = [job for place in chosen if (job := await store.get(connection, rows[place]["id"], rows[place]["tenant"])) is not None]
        outlook = await queue.outlook(connection)
        assert len(outlook.milestones) == 3000 // queue.DISTANCE
        ahead = await queue.ahead(connection, jobs, outlook.milestones)
        assert [ahead[job.id] for job in jobs] == [Load(place, float(place)) for place in chosen]


async def test_depth_and_work(pool: Pool) -> None:
    """What waits is counted by band; of what is being worked on, what is left counts."""
    async with pool.acquire() as connection:
        for priority in ("high", "normal", "normal", "low"):
            await queued(connection, priority=priority)
        await connection.execute("update jobs set duration = 60")
        job = await claimed(connection)
        await store.renew(connection, job, lease=HOUR, stage="transcribe", progress=75)
        assert await queue.depth(connection) == {1: Load(2, 120.0), 2: Load(1, 60.0)}
        working = (await queue.outlook(connection)).working
        assert working.jobs == 1
        assert working.seconds == pytest.approx(15.0)


async def test_workers_are_seen_idle_and_busy_until_they_leave_or_die(pool: Pool) -> None:
    """A worker that beats is there, with the jobs it has; one that left or went silent is not, and its slots do not count."""
    idle, busy, dead = ids.new(), ids.new(), ids.new()
    async with pool.acquire() as connection:
        await queue.beat(connection, idle, name="idle", slots=3, jobs_per_tenant=None, lasting=HOUR)
        await queue.beat(connection, busy, name="busy", slots=2, jobs_per_tenant=None, lasting=HOUR)
        await queue.beat(connection, dead, name="dead", slots=9, jobs_per_tenant=None, lasting=timedelta(seconds=-1))
        await queued(connection)
        await claimed(connection, worker="busy")
        assert [(one.id, one.slots, one.active) for one in await queue.workers(connection)] == [(idle, 3, 0), (busy, 2, 1)]
        assert (await queue.outlook(connection)).slots == 5
        await queue.leave(connection, idle)
        assert [one.id for one in await queue.workers(connection)] == [busy]


async def completed(connection: Connection, *, taking: timedelta) -> Job:
    """A job of 100 seconds of audio that a worker had for so long."""
    await queued(connection)
    done = await store.finish(connection, await claimed(connection), RESULT)
    assert done is not None
    await connection.execute("update jobs set claimed_at = finished_at - $2::interval where id = $1", done.id, taking)
    return done


async def test_speed_is_measured_over_what_was_completed(pool: Pool) -> None:
    """Seconds of audio over the seconds that workers had them; the true duration has replaced the estimate by then."""
    async with pool.acquire() as connection:
        assert await queue.measured_speed(connection) is None
        job = await completed(connection, taking=timedelta(seconds=10))
        assert (job.duration, job.duration_known) == (100.0, True)
        await completed(connection, taking=timedelta(seconds=30))
        measured = await queue.measured_speed(connection)
        assert measured is not None
        assert measured.jobs == 2
        assert measured.per_slot == pytest.approx(5.0)


async def test_the_first_eta_told_is_compared_with_the_completion(pool: Pool) -> None:
    """A later ETA does not replace it; how far it was off is known when the job is completed."""
    async with pool.acquire() as connection:
        assert await queue.eta_errors(connection) is None
        job = await queued(connection)
        now = await connection.fetchval("select now()")
        await queue.tell(connection, {job.id: now - timedelta(seconds=30)})
        await queue.tell(connection, {job.id: now + HOUR})
        assert (await reread(connection, job)).eta == now - timedelta(seconds=30)
        done = await store.finish(connection, await claimed(connection), RESULT)
        assert done is not None
        assert done.status is Status.COMPLETED
        assert done.finished_at is not None
        late = (done.finished_at - now).total_seconds() + 30
        errors = await queue.eta_errors(connection)
        assert errors is not None
        assert msgspec.structs.astuple(errors) == (1, *[pytest.approx(late, abs=0.001)] * 3)


async def test_a_job_tried_again_is_foretold_anew(pool: Pool) -> None:
    """The ETA of a cancelled job does not count against the next."""
    async with pool.acquire() as connection:
        job = await queued(connection)
        await queue.tell(connection, {job.id: job.created_at})
        await store.cancel(connection, job.id, job.tenant)
        again = await store.resubmit(connection, job.id, job.tenant)
        assert again is not None
        assert again.eta is None
