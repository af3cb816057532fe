"""Attempts at deliveries whose announcement the broker lost."""

from datetime import timedelta

import msgspec
import pytest

from common import ids, topology
from common.broker import Broker
from common.database import Pool
from common.due import Due
from common.envelope import Event
from common.ids import EventId
from common.relay import Relay
from services.janitor.duties.reannounce import PATIENCE, Reannounce
from services.janitor.duty import Sweep
from services.janitor.sweeper import Sweeper
from services.notifier.intake import Intake
from tests.jobs import claimed, finished, forget_events, queued
from tests.running import wait_until

QUEUE = topology.NOTIFIER_DELIVERIES


async def overdue(pool: Pool, count: int, *, lane: str | None = None) -> None:
    """Deliveries that have been due for longer than is patient, their announcements in the outbox; each in its lane, or all in one."""
    async with pool.acquire() as connection:
        jobs = [await queued(connection, webhook_url=f"https://{lane or number}.example.com/{number}") for number in range(count)]
        for _ in jobs:
            await finished(connection, await claimed(connection))
        await forget_events(connection)
    for job in jobs:
        await Intake(pool).handle(
            Event(id=EventId(ids.new()), type="job.completed", source="/", subject=str(job.id), time=job.created_at, data=b"{}")
        )
    await pool.execute("update deliveries set due_at = now() - $1::interval - random() * interval '1 minute'", PATIENCE)


async def look(sweeper: Sweeper, broker: Broker, *, dry_run: bool = False) -> tuple[int, int]:
    report = await sweeper.sweep(Reannounce(broker), dry_run=dry_run)
    assert report is not None
    assert report.error is None, report.error
    return report.scanned, report.swept


async def announced(pool: Pool) -> list[Due]:
    rows = await pool.fetch("select body from outbox where type = 'delivery.due' order by id")
    return [msgspec.json.decode(row["body"], type=Due) for row in rows]


async def test_what_was_lost_is_announced_once_more(pool: Pool, broker: Broker, sweeper: Sweeper) -> None:
    """Each once, as the attempt that it still is; and not again while that may be on its way. A dry run announces nothing."""
    await overdue(pool, 5)
    async with pool.acquire() as connection:
        await forget_events(connection)
    assert await look(sweeper, broker, dry_run=True) == (5, 5)
    assert await announced(pool) == []
    assert [await look(sweeper, broker) for _ in range(2)] == [(5, 5), (0, 0)]
    found = await announced(pool)
    assert {due.attempt for due in found} == {1}
    assert len({due.delivery_id for due in found}) == len(found) == 5


async def test_a_backlog_is_no_loss(pool: Pool, broker: Broker, sweeper: Sweeper) -> None:
    """Announcements in the outbox and in the queue count, however long their deliveries have been due; of the others, the oldest go."""
    await overdue(pool, 4)
    assert await look(sweeper, broker) == (0, 0)
    while await Relay(pool, broker).publish_due():
        pass

    async def ready() -> bool:
        return await broker.ready(QUEUE) == 4

    await wait_until(ready, "the announcements to be in the queue")
    assert await look(sweeper, broker) == (0, 0)
    oldest = await pool.fetchval("select id from deliveries order by due_at limit 1")
    async with await broker.channel() as channel:
        message = await (await channel.get_queue(QUEUE.name, ensure=False)).get(timeout=60)
        assert message is not None
        await message.ack()
    assert await look(sweeper, broker) == (1, 1)
    assert [due.delivery_id for due in await announced(pool)] == [oldest]


@pytest.mark.parametrize(
    "change",
    [
        "update deliveries set due_at = now() + interval '30 seconds'",  # being made, or waiting for its time
        "update deliveries set due_at = now()",
        "update deliveries set state = 'delivered', finished_at = now()",
        "update endpoints set status = 'paused'",
    ],
)
async def test_what_is_not_overdue_is_left_alone(pool: Pool, broker: Broker, sweeper: Sweeper, change: str) -> None:
    """An attempt that is being made, one that waits, one that is over, one that waits for its endpoint to be resumed."""
    await overdue(pool, 2)
    await pool.execute(
        "insert into endpoints (id, tenant, url, events, description)"
        " values (gen_random_uuid(), 'default', 'https://example.com/', '{}', '')"
    )
    await pool.execute("update deliveries set endpoint_id = (select id from endpoints)")
    async with pool.acquire() as connection:
        await forget_events(connection)
    await pool.execute(change)
    assert await look(sweeper, broker) == (0, 0)


async def test_a_lane_is_announced_and_not_all_that_is_due_in_it(pool: Pool, broker: Broker, sweeper: Sweeper) -> None:
    """Such as one that a notifier holds back for its tenant's share: once a minute, for its places, and its order stays what it was."""
    in_order = "select id, due_at from deliveries order by due_at, id"
    await overdue(pool, 9, lane="slow")
    await pool.execute("update deliveries set due_at = due_at - interval '1 hour'")
    before = await pool.fetch(in_order)
    for waited in (3_600, 60):
        async with pool.acquire() as connection:
            await forget_events(connection)
        report = await sweeper.sweep(Reannounce(broker))
        assert report is not None
        assert (report.scanned, report.swept, report.backlog_seconds // 1_800) == (9, 4, waited // 1_800)
        assert await look(sweeper, broker) == (0, 0)
        assert [due.delivery_id for due in await announced(pool)] == [row["id"] for row in before[:4]]
        await pool.execute("update overdue_lanes set announced_at = announced_at - $1::interval", PATIENCE)
    assert await pool.fetch(in_order) == before


async def test_two_janitors_do_not_announce_twice(pool: Pool, broker: Broker) -> None:
    """Even without the lock, and one after the other at once."""
    await overdue(pool, 6)
    async with pool.acquire() as connection:
        await forget_events(connection)
        duty = Reannounce(broker, patience=timedelta(seconds=30))
        for _ in range(2):
            now = await connection.fetchval("select now()")
            async for _counts in duty.batches(Sweep(connection, now, dry_run=False)):
                pass
    assert len(await announced(pool)) == 6
