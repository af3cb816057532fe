"""What is in the outbox reaches the broker: once as a rule, at least once whatever happens, and not before its time."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from urllib.parse import urlsplit

import pytest

from bench.chaos.proxy import Proxy
from common import database, listener, outbox, topology
from common.broker import LOST, Broker, settle
from common.database import Connection, Pool
from common.envelope import Event, from_message
from common.ids import EventId
from common.migrations import migrate
from common.relay import Relay
from deploy.local.stack import Stack
from tests.running import wait_until
from tests.tap import tap

NOW = timedelta(0)
SOME = 150


async def add(connection: Connection, event_type: str = "job.started", delay: timedelta = NOW) -> EventId:
    return await outbox.add(connection, event_type, subject="a job", data=b"{}", delay=delay)


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[None]:
    task = asyncio.create_task(relay.run(), name="relay")
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def outbox_empty(pool: Pool) -> bool:
    return not await pool.fetchval("select count(*) from outbox")


async def test_several_relays_publish_each_event_once(pool: Pool, amqp_url: str) -> None:
    """Four relays of four services share the work and none repeats another's."""
    async with AsyncExitStack() as stack:
        brokers = [await stack.enter_async_context(Broker(amqp_url, name=f"relay-{number}")) for number in range(4)]
        heard = await stack.enter_async_context(tap(brokers[0], "#"))
        async with pool.acquire() as connection:
            added = [await add(connection) for _ in range(1_000)]
        for broker in brokers:
            await stack.enter_async_context(running(Relay(pool, broker)))
        await wait_until(lambda: outbox_empty(pool), "the outbox to be empty")
        await heard.until(len(added))
        assert Counter(message.message_id for message in heard.messages) == Counter(str(event) for event in added)


async def test_events_are_published_oldest_first(pool: Pool, broker: Broker) -> None:
    """One relay keeps the order in which events were due."""
    async with tap(broker, "#") as heard:
        async with pool.acquire() as connection:
            added = [await add(connection) for _ in range(250)]
        async with running(Relay(pool, broker)):
            messages = await heard.until(len(added))
    assert [message.message_id for message in messages] == [str(event) for event in added]


async def test_a_relay_that_dies_leaves_its_events_to_another(pool: Pool, amqp_url: str) -> None:
    """Cancelled in the middle, a relay has deleted nothing that the broker does not have."""
    async with Broker(amqp_url, name="dying") as dying, Broker(amqp_url, name="heir") as heir, tap(heir, "#") as heard:
        async with pool.acquire() as connection:
            added = {str(await add(connection)) for _ in range(300)}
        task = asyncio.create_task(Relay(pool, dying).run(), name="dying-relay")
        await heard.until(1)
        task.cancel()
        await asyncio.wait({task})
        async with running(Relay(pool, heir)):
            await wait_until(lambda: outbox_empty(pool), "the outbox to be empty")
            await wait_until(lambda: {message.message_id for message in heard.messages} == added, "every event")


async def test_a_relay_that_is_stopped_lets_go_of_its_events(database_url: str, pool: Pool, broker: Broker) -> None:
    """What a relay has locked when its process stands still is published by another, and its own transaction comes to nothing."""
    other = Relay(pool, broker)

    async def published() -> bool:
        return await other.publish_due() == 1

    async with database.connect(database_url, name="stopped", abandoned=timedelta(seconds=0.3)) as stopped, tap(broker, "#") as heard:
        async with pool.acquire() as connection:
            event = await add(connection)
        with pytest.raises(database.AWAY):  # noqa: PT012 - it shows when the transaction ends
            async with stopped.acquire() as connection:
                await connection.execute("set idle_in_transaction_session_timeout = 0")
                async with connection.transaction():
                    [(row, _)] = await outbox.take(connection, 1)
                    assert await other.publish_due() == 0
                    await connection.execute("reset idle_in_transaction_session_timeout")  # from here on it stands still
                    await wait_until(published, "the event to be free")
                    await outbox.delete(connection, [row])
        [message] = await heard.until(1)
    assert message.message_id == str(event)


class Timed(Relay):
    """Notes when each of its batches began and ended."""

    def __init__(self, pool: Pool, broker: Broker, *, share: float) -> None:
        super().__init__(pool, broker, share=share)
        self.batches: list[tuple[int, float, float]] = []

    async def _look(self) -> tuple[int, timedelta | None]:
        began = time.monotonic()
        taken, due = await super()._look()
        self.batches.append((taken, began, time.monotonic()))
        return taken, due


async def test_a_relay_with_a_share_gives_way(pool: Pool, broker: Broker) -> None:
    """It takes smaller batches and, while there is more to publish, works for no more than its share of the time; all goes in the end."""
    share = 0.1
    relay = Timed(pool, broker, share=share)
    async with tap(broker, "#") as heard:
        async with pool.acquire() as connection, connection.transaction():
            for _ in range(60):
                await add(connection)
        async with running(relay):
            await heard.until(60)
            await wait_until(lambda: len(relay.batches) >= 3, "the third batch to be over")
    assert [count for count, _, _ in relay.batches][:3] == [25, 25, 10]
    for (_, began, ended), (_, following, _) in pairwise(relay.batches[:3]):
        assert ended - began <= 1.1 * share * (following - began)


async def test_an_uncommitted_event_is_not_published(pool: Pool, broker: Broker) -> None:
    """An event is due when its transaction commits, and never when it is rolled back."""
    async with tap(broker, "#") as heard, pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await add(connection)
        assert await Relay(pool, broker).publish_due() == 0
        await transaction.rollback()
        kept = await add(connection)
        assert await Relay(pool, broker).publish_due() == 1
        [message] = await heard.until(1)
    assert message.message_id == str(kept)


async def test_a_notification_wakes_the_relay(database_url: str, pool: Pool, broker: Broker) -> None:
    """From the commit to the consumer in less than a poll, which has just been when the next event comes."""
    relay = Relay(pool, broker)
    listening = asyncio.create_task(listener.listen(database_url, {"outbox": relay.notify}))
    delays = []
    async with tap(broker, "#") as heard, running(relay), pool.acquire() as connection:
        for number in range(1, 11):
            await add(connection)
            committed = time.monotonic()
            await heard.until(number)
            delays.append(time.monotonic() - committed)
    listening.cancel()
    await asyncio.wait({listening})
    assert min(delays) < 0.9  # a poll comes a second after the last


async def test_an_event_wakes_its_writers_relay(database_url: str, pool: Pool) -> None:
    """A notification names the process that wrote the event, or every event would make all services look; without one it is for all."""
    heard: list[str] = []
    listening = asyncio.create_task(listener.listen(database_url, {"outbox": heard.append}))
    await wait_until(lambda: heard == [""], "the listener")
    async with database.connect(database_url, name="ingest", process="a1") as writer:
        for each in (writer, pool):
            async with each.acquire() as connection:
                await add(connection)
        await wait_until(lambda: heard == ["", "a1", ""], "both notifications")
    listening.cancel()
    await asyncio.wait({listening})


@pytest.mark.parametrize(("writer", "wakes"), [("a1", True), ("b2", False), ("", True)])
async def test_whose_events_wake_a_relay(pool: Pool, broker: Broker, writer: str, *, wakes: bool) -> None:
    """Its own process's and nobody's."""
    relay = Relay(pool, broker, process="a1")
    relay.notify(writer)
    assert relay.wake.is_set() is wakes


async def test_the_poll_finds_what_no_notification_told_of(pool: Pool, broker: Broker) -> None:
    """Without a listener events are late by no more than a poll."""
    async with tap(broker, "#") as heard, running(Relay(pool, broker)), pool.acquire() as connection:
        for number in range(1, 3):
            await add(connection)
            await heard.until(number)


async def test_a_delayed_event_comes_at_its_time(pool: Pool, broker: Broker) -> None:
    """Not before, by the database's clock; and then without anyone to wake the relay."""
    delay = timedelta(seconds=1.2)
    async with tap(broker, "#") as heard, running(Relay(pool, broker)), pool.acquire() as connection:
        async with connection.transaction():
            await add(connection, delay=delay)
            due = await connection.fetchval("select available_at from outbox")
            at_once = await add(connection)
        await heard.until(2)
        late = await connection.fetchval("select clock_timestamp() - $1::timestamptz", due)
    assert heard.messages[0].message_id == str(at_once)
    assert late >= NOW


async def test_an_event_that_no_queue_takes_is_put_off_and_kept(pool: Pool, broker: Broker, amqp_url: str) -> None:
    """A mandatory event that cannot be routed stays in the outbox, tried again later; the others of its batch are published."""
    async with await broker.channel() as channel:
        await channel.queue_delete(topology.TRANSCRIBER_JOBS.name)
    async with pool.acquire() as connection, tap(broker, "job.started") as heard:
        await add(connection, "job.created")
        await add(connection, "job.started")

        await Relay(pool, broker).publish_due()

        await heard.until(1)
        row = await connection.fetchrow("select type, attempt, available_at >= created_at + interval '1 second' as later from outbox")
        assert row is not None
        assert tuple(row) == ("job.created", 1, True)
        async with Broker(amqp_url, name="another") as another:
            await another.ping()
        await connection.execute("update outbox set available_at = now()")
        await Relay(pool, broker).publish_due()
        assert await outbox_empty(pool)
        assert await broker.ready(topology.TRANSCRIBER_JOBS) == 1


class Silent(Broker):
    """Never hears the confirm of an event of the type `unconfirmed`, nor that the connection would be lost."""

    unconfirmed = "job.started"

    async def publish(self, event: Event, *, mandatory: bool, persistent: bool = True) -> None:
        if event.type == self.unconfirmed:
            raise TimeoutError
        await super().publish(event, mandatory=mandatory, persistent=persistent)


async def test_an_event_that_is_not_confirmed_holds_up_no_others(pool: Pool, broker: Broker, amqp_url: str) -> None:
    """As of a queue that has lost its leader: those beside it are published once, and it is tried again later; alone, it is no refusal."""
    async with Silent(amqp_url, name="silent") as silent, pool.acquire() as connection, tap(broker, "job.#") as heard:
        relay = Relay(pool, silent)
        others = []
        for _ in range(3):
            await add(connection, Silent.unconfirmed)
            others.append(str(await add(connection, "job.progress")))
        assert await relay.publish_due() == 6
        assert [tuple(row) for row in await connection.fetch("select type, attempt from outbox")] == [(Silent.unconfirmed, 1)] * 3
        await connection.execute("update outbox set available_at = now()")
        with pytest.raises(TimeoutError):
            await relay.publish_due()
        assert await connection.fetchval("select max(attempt) from outbox") == 1

        await Relay(pool, broker).publish_due()
        await heard.until(6)
    assert Counter(message.routing_key for message in heard.messages) == {"job.progress": 3, Silent.unconfirmed: 3}
    assert [message.message_id for message in heard.messages[:3]] == others


async def test_refusals_back_off_up_to_a_minute(pool: Pool) -> None:
    """Each refusal waits twice as long as the one before, for ever if need be."""
    async with pool.acquire() as connection, connection.transaction():
        await add(connection)
        row = await connection.fetchval("select id from outbox")
        waits = []
        for _ in range(8):
            await outbox.postpone(connection, [row])
            waits.append(await connection.fetchval("select extract(epoch from available_at - now()) from outbox"))
        assert [round(wait) for wait in waits] == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_what_has_not_been_confirmed_is_published_again(pool: Pool, broker: Broker, amqp_url: str) -> None:
    """Written to a connection that ends before the broker has read it, an event is still in the outbox, and goes by the next one."""
    port = urlsplit(amqp_url).port or 0
    proxy = Proxy(lambda: port)
    await proxy.start()
    async with (
        tap(broker, "#") as heard,
        Broker(amqp_url.replace(f":{port}", f":{proxy.port}"), name="behind-proxy") as behind,
        pool.acquire() as connection,
    ):
        relay = Relay(pool, behind)
        kept = [await add(connection)]
        assert await relay.publish_due() == 1
        kept.append(await add(connection))
        with proxy.faulty("stall"):
            publishing = asyncio.create_task(relay.publish_due(), name="publish")
            _, unconfirmed = await asyncio.wait({publishing}, timeout=1)
            assert unconfirmed
            await proxy.stop()
            with pytest.raises(LOST):
                await publishing
        assert await Relay(pool, broker).publish_due() == 1
        await heard.until(2)
    assert [message.message_id for message in heard.messages] == [str(event) for event in kept]


async def test_nothing_is_lost_when_the_broker_goes_away(own_stack: Stack) -> None:
    """Events added before, during and after a broker's stop and its death all arrive; relay and consumer go on by themselves."""
    await migrate(own_stack.database_url)
    stopping, added, received = asyncio.Event(), set[EventId](), set[EventId]()
    async with (
        database.connect(own_stack.database_url, name="test") as pool,
        Broker(own_stack.amqp_url, name="relay") as publisher,
        Broker(own_stack.amqp_url, name="consumer") as consumer,
    ):

        async def consume() -> None:
            async for message in consumer.deliveries(topology.TRANSCRIBER_JOBS, stopping=stopping):
                received.add(from_message(message).id)
                await settle(message)

        async def add_some() -> None:
            async with pool.acquire() as connection:
                added.update([await add(connection, "job.created") for _ in range(SOME)])

        consuming = asyncio.create_task(consume(), name="consume")
        async with running(Relay(pool, publisher)):
            for leave in (own_stack.rabbitmq.stop, own_stack.rabbitmq.kill):
                await add_some()
                await wait_until(lambda: len(received) > len(added) - SOME, "a first event")
                await asyncio.to_thread(leave)
                await add_some()
                await asyncio.to_thread(own_stack.rabbitmq.start)
                await add_some()
                await wait_until(lambda: received == added, "every event", limit=120)
            await wait_until(lambda: outbox_empty(pool), "the outbox to be empty")
        stopping.set()
        await asyncio.wait_for(consuming, 60)
