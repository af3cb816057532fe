"""Tokens: whatever the broker loses comes back, and what is on its way is not issued twice."""

import asyncio
from datetime import timedelta

from common import topology
from common.broker import Broker, settle
from common.cleanup import Report
from common.database import Connection, Pool
from common.ids import LeaseToken, new
from common.jobs import store, upkeep
from common.relay import Relay
from services.janitor.duties.reissue import Reissue
from services.janitor.sweeper import Sweeper
from tests.jobs import BROKEN, HOUR, Announced, announced, claimed, finished, forget_events, queued
from tests.running import wait_until

QUEUE = topology.TRANSCRIBER_JOBS


async def age(connection: Connection) -> None:
    """Make every queued job one that has waited for a while."""
    await connection.execute("update jobs set queued_at = now() - interval '1 hour', claim_after = claim_after - interval '1 hour'")


async def waiting_jobs(pool: Pool, broker: Broker, count: int) -> None:
    """Jobs that have waited for a while, their tokens in the queue."""
    async with pool.acquire() as connection:
        for _ in range(count):
            await queued(connection)
        await age(connection)
    while await Relay(pool, broker).publish_due():
        pass
    await wait_until(lambda: ready(broker, count), "the tokens to be in the queue")


async def ready(broker: Broker, count: int) -> bool:
    return await broker.ready(QUEUE) == count


async def purge(broker: Broker, count: int) -> None:
    """Lose so many messages."""
    async with await broker.channel() as channel:
        queue = await channel.get_queue(QUEUE.name, ensure=False)
        for _ in range(count):
            message = await queue.get(timeout=60)
            assert message is not None
            await message.ack()


async def look(sweeper: Sweeper, reissue: Reissue, *, dry_run: bool = False) -> tuple[int, int]:
    """One look: how many tokens were found missing, and how many were issued."""
    report = await sweeper.sweep(reissue, dry_run=dry_run)
    assert isinstance(report, Report)
    assert report.error is None
    return report.scanned, report.swept


async def test_a_purged_queue_is_filled_again(pool: Pool, broker: Broker, sweeper: Sweeper) -> None:
    """What is missing at two looks is issued at the second, once: every job has its token, none has two."""
    await waiting_jobs(pool, broker, 7)
    async with await broker.channel() as channel:
        await (await channel.get_queue(QUEUE.name, ensure=False)).purge()
    reissue = Reissue(broker)

    assert [await look(sweeper, reissue) for _ in range(4)] == [(7, 0), (7, 7), (0, 0), (0, 0)]

    await Relay(pool, broker).publish_due()
    await wait_until(lambda: ready(broker, 7), "the tokens to be back")
    assert await look(sweeper, reissue) == (0, 0)


async def test_only_what_was_lost_is_issued(pool: Pool, broker: Broker, sweeper: Sweeper) -> None:
    """Some messages lost, some still there: the difference comes back."""
    await waiting_jobs(pool, broker, 5)
    await purge(broker, 3)
    reissue = Reissue(broker)
    assert [await look(sweeper, reissue) for _ in range(3)] == [(3, 0), (3, 3), (0, 0)]


async def test_a_deleted_queue_is_declared_and_filled_again(pool: Pool, broker: Broker, sweeper: Sweeper) -> None:
    """The look that finds no queue fails; the next ones find one that is empty."""
    await waiting_jobs(pool, broker, 2)
    async with await broker.channel() as channel:
        await channel.queue_delete(QUEUE.name)
    reissue = Reissue(broker)
    failed = await sweeper.sweep(reissue)
    assert failed is not None
    assert failed.error is not None
    assert [await look(sweeper, reissue) for _ in range(2)] == [(2, 0), (2, 2)]
    await Relay(pool, broker).publish_due()
    await wait_until(lambda: ready(broker, 2), "the tokens to be back")


async def test_a_healthy_backlog_is_left_alone(pool: Pool, broker: Broker, sweeper: Sweeper) -> None:
    """Tokens in the outbox and tokens in the queue are tokens, however long their jobs have waited."""
    await waiting_jobs(pool, broker, 4)
    async with pool.acquire() as connection:
        for _ in range(3):
            await queued(connection)
        await age(connection)
    reissue = Reissue(broker)
    assert [await look(sweeper, reissue) for _ in range(3)] == [(0, 0)] * 3


async def test_tokens_that_workers_hold_are_for_the_jobs_they_have(pool: Pool, broker: Broker, sweeper: Sweeper) -> None:
    """A busy worker's unacked token is no token for a job that waits, and its job needs none."""
    await waiting_jobs(pool, broker, 3)
    reissue = Reissue(broker)
    async with await broker.channel() as channel, pool.acquire() as connection:
        queue = await channel.get_queue(QUEUE.name, ensure=False)
        assert await queue.get(timeout=60) is not None
        await claimed(connection)
        assert [await look(sweeper, reissue) for _ in range(2)] == [(0, 0)] * 2
        await purge(broker, 2)
        assert [await look(sweeper, reissue) for _ in range(2)] == [(2, 0), (2, 2)]


async def test_jobs_that_have_only_just_come_are_given_time(pool: Pool, broker: Broker, sweeper: Sweeper) -> None:
    """A new job, one released just now and one that waits for its retry get no second token."""
    await waiting_jobs(pool, broker, 2)
    reissue = Reissue(broker, patience=HOUR / 2)
    async with pool.acquire() as connection:
        released, retried = await claimed(connection), await claimed(connection)
        await purge(broker, 2)
        await store.release(connection, released)
        await store.retry(connection, retried, BROKEN, HOUR)
        await queued(connection)
        await forget_events(connection)  # as if every one of their tokens had been lost
    assert [await look(sweeper, reissue) for _ in range(2)] == [(0, 0)] * 2


async def test_a_dry_run_issues_nothing_and_is_no_look(pool: Pool, broker: Broker, sweeper: Sweeper) -> None:
    """It tells what is missing; the next real look is still the first."""
    await waiting_jobs(pool, broker, 2)
    await purge(broker, 2)
    reissue = Reissue(broker)
    assert await look(sweeper, reissue, dry_run=True) == (2, 0)
    assert await look(sweeper, reissue) == (2, 0)
    assert await look(sweeper, reissue, dry_run=True) == (2, 2)
    async with pool.acquire() as connection:
        assert await announced(connection) == []
    assert await look(sweeper, reissue) == (2, 2)


async def test_two_janitors_do_not_issue_twice(pool: Pool, broker: Broker, sweeper: Sweeper) -> None:
    """Each has its own memory of what was missing, but both count what is already on its way."""
    await waiting_jobs(pool, broker, 6)
    await purge(broker, 6)
    one, other = Reissue(broker), Reissue(broker)
    for _ in range(4):
        await look(sweeper, one)
        await look(sweeper, other)
    async with pool.acquire() as connection:
        found = await announced(connection)
    assert len(found) == len(set(found)) == 6
    assert {event.type for event in found} == {"job.requeued"}


async def test_a_broker_that_is_away_is_no_reason_to_issue(pool: Pool, unused_tcp_port: int, sweeper: Sweeper) -> None:
    """What cannot be counted is not guessed."""
    async with pool.acquire() as connection:
        await queued(connection)
        await age(connection)
        await forget_events(connection)
        async with Broker(f"amqp://127.0.0.1:{unused_tcp_port}/", name="away") as away:
            reissue = Reissue(away)
            reports = [await sweeper.sweep(reissue) for _ in range(3)]
        assert [report is not None and report.error is not None for report in reports] == [True] * 3
        assert await announced(connection) == []


async def test_busy_workers_are_not_mistaken_for_losses(pool: Pool, broker: Broker, amqp_url: str) -> None:
    """While 8 slots work through 400 jobs as fast as they can, looks without a pause issue no more tokens than there are slots."""
    slots, jobs = 8, 400
    await waiting_jobs(pool, broker, jobs)
    stopping, done, issued = asyncio.Event(), 0, 0

    async def work(name: str) -> None:
        nonlocal done
        async with Broker(amqp_url, name=name) as own, pool.acquire() as connection:
            async for message in own.deliveries(QUEUE, stopping=stopping):
                job = await store.claim(connection, LeaseToken(new()), lease=timedelta(minutes=1), worker=name)
                if job is not None:
                    await finished(connection, job)
                    done += 1
                await settle(message)

    async def janitor() -> None:
        nonlocal issued
        reissue, sweeper = Reissue(broker), Sweeper(pool, stopping)
        while not stopping.is_set():
            report = await sweeper.sweep(reissue)
            assert report is not None
            issued += report.swept

    async with asyncio.TaskGroup() as group:
        for slot in range(slots):
            group.create_task(work(f"slot-{slot}"))
        group.create_task(janitor())
        await wait_until(lambda: done == jobs, "every job", limit=180)
        stopping.set()
    assert issued <= slots


async def test_events_name_jobs_in_the_order_of_claims(pool: Pool, broker: Broker, sweeper: Sweeper) -> None:
    """When only some tokens are missing, they go out under the names of the jobs that are next."""
    async with pool.acquire() as connection:
        low, high = await queued(connection, priority="low"), await queued(connection, priority="high")
        await age(connection)
        await forget_events(connection)
        reissue = Reissue(broker)
        await look(sweeper, reissue)
        await look(sweeper, reissue)
        assert await announced(connection) == [Announced("job.requeued", str(job.id)) for job in (high, low)]


async def test_a_job_that_is_being_claimed_gets_none(pool: Pool) -> None:
    """Neither what is issued again nor what a worker passes on tells of a job as queued after it was started."""
    async with pool.acquire() as one, pool.acquire() as other:
        await queued(one)
        await age(one)
        await forget_events(one)
        async with one.transaction():
            job = await claimed(one)
            assert await upkeep.reissue(other, older_than=timedelta(0), limit=1) == []
            assert await upkeep.pass_on(other, "default") is None
        assert await announced(one) == [Announced("job.started", str(job.id))]
