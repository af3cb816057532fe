"""Messages on the wire: events come back as they were, poison goes aside, and consumers outlive what happens to the broker."""

import asyncio
import contextlib
from datetime import UTC, datetime

import aio_pika
import pytest
from aio_pika import Message
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import DeliveryError

from common import ids, topology
from common.broker import LOST, Broker, settle
from common.envelope import Event, from_message
from common.errors import PermanentError
from common.ids import EventId
from tests.running import wait_until
from tests.tap import tap

QUEUE = topology.TRANSCRIBER_JOBS


def event(event_type: str = "job.created") -> Event:
    return Event(
        id=EventId(ids.new()),
        type=event_type,
        source="/verbatim",
        subject="a job",
        time=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
        data='{"text": "Grüße"}'.encode(),
        trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


async def next_of(broker: Broker, queue: topology.Queue) -> AbstractIncomingMessage:
    async for message in broker.deliveries(queue, stopping=asyncio.Event()):
        return message
    raise AssertionError


async def test_an_event_comes_back_as_it_was(broker: Broker) -> None:
    """Every attribute and every byte survive the wire, the trace's id included."""
    sent = event()
    async with tap(broker, "job.*") as heard:
        await broker.publish(sent, mandatory=True)
        [message] = await heard.until(1)
    received = from_message(message)
    assert received == Event(
        id=sent.id,
        type=sent.type,
        source=sent.source,
        subject=sent.subject,
        time=sent.time,
        data=sent.data,
        trace=received.trace,
    )
    assert (message.message_id, message.content_type, message.routing_key) == (str(sent.id), "application/json", "job.created")


@pytest.mark.parametrize("headers", [{}, {"ce-id": "no uuid", "ce-type": "a", "ce-source": "b", "ce-subject": "c", "ce-time": "d"}])
async def test_a_message_that_is_no_event_is_a_permanent_error(broker: Broker, headers: dict[str, str]) -> None:
    """It will not become an event by being delivered again."""
    async with tap(broker, "#") as heard, await broker.channel() as channel:
        exchange = await channel.get_exchange(topology.EXCHANGE, ensure=False)
        await exchange.publish(Message(b"{}", headers=dict(headers)), "job.started")
        [message] = await heard.until(1)
    with pytest.raises(PermanentError, match="not_an_event"):
        from_message(message)


async def test_poison_goes_to_the_dead_letters(broker: Broker) -> None:
    """A rejected message leaves the queue and is kept in its dead twin."""
    await broker.publish(event(), mandatory=True)
    await settle(await next_of(broker, QUEUE), poison=True)
    dead = topology.Queue(QUEUE.dead, ())
    await wait_until(lambda: _ready(broker, dead, 1), "the dead letter")
    assert await broker.ready(QUEUE) == 0


async def test_a_message_that_is_never_acked_ends_as_a_dead_letter(broker: Broker) -> None:
    """A token that takes its consumer down every time is given up after the delivery limit."""
    await broker.publish(event(), mandatory=True)
    dead = topology.Queue(QUEUE.dead, ())
    async with await broker.channel() as channel:
        queue = await channel.get_queue(QUEUE.name, ensure=False)

        async def given_back() -> bool:
            message = await queue.get(fail=False, timeout=60)
            if message is not None:
                await message.nack(requeue=True)
            return message is not None

        for _ in range(topology.DELIVERY_LIMIT + 1):
            await wait_until(given_back, "the message to be there")
    await wait_until(lambda: _ready(broker, dead, 1), "the dead letter")
    assert await broker.ready(QUEUE) == 0


async def test_ready_counts_what_waits_and_not_what_is_held(broker: Broker) -> None:
    """A delivered message counts again only when its consumer goes without an ack."""
    for _ in range(3):
        await broker.publish(event(), mandatory=True)
    async with await broker.channel() as channel:
        queue = await channel.get_queue(QUEUE.name, ensure=False)
        message = await queue.get(timeout=60)
        assert message is not None
        assert await broker.ready(QUEUE) == 2
    await wait_until(lambda: _ready(broker, QUEUE, 3), "the message to come back")


async def test_declaring_what_exists_changes_nothing(broker: Broker, amqp_url: str) -> None:
    """Every service declares the topology at every connection; a queue of dead letters that an earlier version made is left as it is."""
    async with await aio_pika.connect(amqp_url) as connection, connection.channel() as channel:
        await channel.declare_queue(QUEUE.dead, durable=True, arguments={"x-queue-type": "quorum"})
        await channel.default_exchange.publish(Message(b"a letter"), QUEUE.dead)
    await broker.publish(event(), mandatory=True)
    async with Broker(amqp_url, name="another") as another:
        assert await another.ready(QUEUE) == 1
        assert await another.ready(topology.Queue(QUEUE.dead, ())) == 1


async def test_a_queue_that_nobody_consumes_comes_back_when_it_is_looked_into(broker: Broker) -> None:
    """Nobody is told that a queue of dead letters was deleted: who looks into it fails once, and then finds it declared again."""
    dead = topology.Queue(QUEUE.dead, ())
    async with await broker.channel() as channel:
        await channel.queue_delete(dead.name)
    with pytest.raises(LOST):
        await anext(broker.waiting(dead, 1))
    assert [messages async for messages in broker.waiting(dead, 1)] == []


async def test_a_consumer_outlives_its_queue(amqp_url: str) -> None:
    """When the queue is deleted, the consumer declares it again and goes on."""
    received: list[EventId] = []
    stopping = asyncio.Event()
    async with Broker(amqp_url, name="test") as broker, Broker(amqp_url, name="consumer") as consumer:

        async def consume() -> None:
            async for message in consumer.deliveries(QUEUE, stopping=stopping):
                received.append(from_message(message).id)
                await settle(message)

        consuming = asyncio.create_task(consume(), name="consume")
        first, second = event(), event()
        await broker.publish(first, mandatory=True)
        await wait_until(lambda: received == [first.id], "the first event")
        async with await broker.channel() as channel:
            await channel.queue_delete(QUEUE.name)

        async def published() -> bool:
            try:
                await broker.publish(second, mandatory=True)
            except DeliveryError:  # no queue yet, or one that is not bound yet
                return False
            return True

        await wait_until(published, "the queue to be back")
        await wait_until(lambda: received == [first.id, second.id], "the second event")
        stopping.set()
        await asyncio.wait_for(consuming, 60)


async def test_stopping_gives_back_what_was_not_acked(broker: Broker, amqp_url: str) -> None:
    """A consumer that is told to stop ends, and what it had not dealt with is there for the next."""
    stopping = asyncio.Event()
    async with Broker(amqp_url, name="consumer") as consumer:
        for _ in range(2):
            await broker.publish(event(), mandatory=True)
        async for message in consumer.deliveries(QUEUE, stopping=stopping):
            assert message.delivery_tag
            stopping.set()
        await wait_until(lambda: _ready(broker, QUEUE, 2), "both messages to be back")


async def test_an_ack_that_comes_too_late_is_no_error(amqp_url: str) -> None:
    """The channel is gone: the broker delivers the message again, and the guarded write makes that harmless."""
    async with Broker(amqp_url, name="test") as broker:
        await broker.publish(event(), mandatory=True)
        async for message in broker.deliveries(QUEUE, stopping=asyncio.Event()):
            await message.channel.close()
            await settle(message)
            break


async def _ready(broker: Broker, queue: topology.Queue, count: int) -> bool:
    try:
        return await broker.ready(queue) == count
    except Exception:  # noqa: BLE001 - the queue may not be there yet
        return False


async def test_a_cancellation_comes_through_while_connecting(amqp_url: str) -> None:
    """Whatever aio-pika makes of it: tried at one turn of the loop after the other."""

    async def beat(broker: Broker) -> None:
        with contextlib.suppress(*LOST):
            await broker.publish(event(), mandatory=False)
        await asyncio.Event().wait()

    for turns in range(0, 240, 2):
        async with Broker(amqp_url, name="test") as broker:
            beating = asyncio.create_task(beat(broker))
            for _ in range(turns):
                await asyncio.sleep(0)
            beating.cancel()
            done, _ = await asyncio.wait({beating}, timeout=60)
            assert done, f"swallowed at turn {turns}"
