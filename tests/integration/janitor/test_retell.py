"""Ends of jobs that the broker lost before the notifier had them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from common import outbox, topology
from common.broker import Broker
from common.database import Connection, Pool
from common.jobs.job import Job
from common.relay import Relay
from services.ingest.webhooks import store
from services.ingest.webhooks.store import EndpointRequest
from services.janitor.duties.retell import PATIENCE, Retell
from services.janitor.sweeper import Sweeper
from services.notifier.intake import Intake
from tests.jobs import claimed, finished, forget_events, queued

ENDED = "select event_id from outbox where type = 'job.completed'"
URL = "https://example.com/hook"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def claimed_of(connection: Connection, tenant: str) -> Job:
    await queued(connection, tenant=tenant)
    return await claimed(connection)


async def ended(connection: Connection, **options: str) -> UUID:
    """A job that ended longer ago than is patient; returns its event, which is in the outbox."""
    job = await queued(connection)
    await connection.execute("update jobs set options = options || $2 where id = $1", job.id, options)
    await finished(connection, await claimed(connection))
    await connection.execute("update jobs set finished_at = now() - $1::interval", PATIENCE + timedelta(seconds=5))
    event: UUID = await connection.fetchval(f"{ENDED} and subject = $1", str(job.id))
    return event


async def look(sweeper: Sweeper, broker: Broker, *, dry_run: bool = False) -> int:
    report = await sweeper.sweep(Retell(broker), dry_run=dry_run)
    assert report is not None
    assert report.error is None, report.error
    return report.swept


async def test_what_was_lost_is_told_again(pool: Pool, broker: Broker, sweeper: Sweeper) -> None:
    """Once, as the same event; nothing of jobs that nobody asks about. A dry run tells nothing."""
    async with pool.acquire() as connection:
        events = {await ended(connection, **{option: URL}) for option in ("webhook_url", "upload_presigned_url")}
        await ended(connection)
        await forget_events(connection)
        assert await look(sweeper, broker, dry_run=True) == 2
        assert await connection.fetch(ENDED) == []
        assert [await look(sweeper, broker) for _ in range(2)] == [2, 0]
        assert {row["event_id"] for row in await connection.fetch(ENDED)} == events


async def test_an_end_that_was_lost_while_no_janitor_looked_is_told(pool: Pool, broker: Broker, sweeper: Sweeper) -> None:
    """The first look goes back as far as deliveries are kept. One that finds the notifier behind is no look: the next one goes as far."""
    forgetful, retell = Retell(broker, timedelta(hours=2)), Retell(broker)
    async with pool.acquire() as connection:
        event = await ended(connection, webhook_url=URL)
        await connection.execute("update jobs set finished_at = now() - interval '3 hours'")
        await forget_events(connection)

        async def told(by: Retell) -> int:
            report = await sweeper.sweep(by)
            assert report is not None
            return report.swept

        assert await told(forgetful) == 0
        await finished(connection, await claimed_of(connection, "other"))
        await Relay(pool, broker).publish_due()
        assert await told(retell) == 0
        async with await broker.channel() as channel:
            await (await channel.get_queue(topology.NOTIFIER_EVENTS.name)).purge()
        assert [await told(retell) for _ in range(2)] == [1, 0]
        assert [row["event_id"] for row in await connection.fetch(ENDED)] == [event]
        await forget_events(connection)
        assert await told(retell) == 0, "it has looked there before"
        assert await told(Retell(broker)) == 1


async def test_nobody_is_told_of_the_past(pool: Pool, broker: Broker, sweeper: Sweeper) -> None:
    """An endpoint that asks for ends since this one is not told of it; one that had asked for them is, whatever it asks for besides."""
    cancels, ends = EndpointRequest(url=URL, events=("job.cancelled",)), EndpointRequest(url=URL)
    changes = {
        "asks": (cancels, ends),
        "asks again": (ends, cancels, ends),
        "is described anew": (ends, EndpointRequest(url=URL, description="All of them.")),
        "asks for more": (
            EndpointRequest(url=URL, events=("job.completed",)),
            EndpointRequest(url=URL, events=("job.started", "job.completed")),
        ),
        "asks for less": (ends, EndpointRequest(url=URL, events=("job.completed",))),
    }
    async with pool.acquire() as connection:
        for tenant, (before, *after) in changes.items():
            made = await store.create(connection, tenant, before)
            assert made is not None
            await connection.execute("update endpoints set created_at = $2 where id = $1", made[0].id, LONG_AGO)
            job = await finished(connection, await claimed_of(connection, tenant))
            await connection.execute(
                "update jobs set finished_at = now() - $1::interval where id = $2", PATIENCE + timedelta(seconds=5), job.id
            )
            for wanted in after:
                await store.replace(connection, made[0].id, tenant, wanted)
        await forget_events(connection)
        assert await look(sweeper, broker) == 3
        told = {row["tenant"] for row in await connection.fetch("select tenant from jobs join outbox on subject = jobs.id::text")}
        assert told == {"is described anew", "asks for more", "asks for less"}


async def test_what_is_on_its_way_is_not_told_again(pool: Pool, broker: Broker, sweeper: Sweeper) -> None:
    """Neither while it waits in the outbox, nor in the notifier's queue, nor when it has become a delivery."""
    relay = Relay(pool, broker)
    async with pool.acquire() as connection:
        await ended(connection, webhook_url=URL)
        assert await look(sweeper, broker) == 0
        await relay.publish_due()
        assert await look(sweeper, broker) == 0
    async with await broker.channel() as channel:
        queue = await channel.get_queue(topology.NOTIFIER_EVENTS.name)
        await queue.purge()
        assert await look(sweeper, broker) == 1
    async with pool.acquire() as connection:
        [(_, event)] = await outbox.take(connection, 1)
        for _ in range(2):
            await Intake(pool).handle(event)
        await forget_events(connection)
    assert await look(sweeper, broker) == 0
    assert await pool.fetchval("select count(*) from deliveries") == 1
