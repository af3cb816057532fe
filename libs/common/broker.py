"""One connection to RabbitMQ per process, opened again whenever it is lost, with the topology declared each time.

Consumers use an iterator, never a callback: a connection drop cancels callbacks in the middle of their work, while an iterator merely ends
and the work goes on. What was delivered and not acked comes back, and finds that the guarded write has already been made.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Self

import aio_pika
import aiormq
import structlog
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractIncomingMessage,
    AbstractQueueIterator,
)
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity

from common import patience, topology, tracing
from common.envelope import Event, to_message

log = structlog.get_logger(__name__)

LOST = (AMQPError, ConnectionError, OSError, TimeoutError, asyncio.InvalidStateError, RuntimeError)
"""What aio-pika raises when the connection or the channel is gone."""

_RETRY_SECONDS = 1.0
_CONFIRM_SECONDS = 10.0


class Broker:
    """Use as an async context manager; `url` is an AMQP URL, `name` shows in the broker's connection list."""

    def __init__(self, url: str, *, name: str) -> None:
        self._url = url
        self._name = name
        self._connection: AbstractConnection | None = None
        self._lock = asyncio.Lock()
        self._declared = False
        self._lost = False
        self._publishing_lock = asyncio.Lock()
        self._publishing_channel: AbstractChannel | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._discard()

    @property
    def connected(self) -> bool:
        """Whether the connection is open right now."""
        # Not `is_closed`, which tells only of our own closing and stays false when the broker goes away.
        return self._connection is not None and self._connection.connected.is_set()

    async def channel(self) -> AbstractChannel:
        """A new channel with confirms, on which an unroutable mandatory publish raises. Raises one of `LOST` when the broker is away."""
        async with patience.heeding():
            async with self._lock:
                connection = await self._connect()
            return await connection.channel(publisher_confirms=True, on_return_raises=True)

    async def _connect(self) -> AbstractConnection:
        """The connection, opened if need be, and the topology declared on it."""
        if self._connection is None or not self.connected:
            await self._discard()
            self._connection = await aio_pika.connect(
                self._url, timeout=10, client_properties={"connection_name": f"verbatim-{self._name}"}
            )
            self._declared = False
            log.info("broker connected")
        if not self._declared:
            await topology.declare(self._connection)
            self._declared = True
        return self._connection

    async def publish(self, event: Event, *, mandatory: bool, persistent: bool = True) -> None:
        """Send an event and wait for the broker's confirm, with the current span as the consumer's parent.

        Raises `DeliveryError` or `PublishError` when the broker refuses it, one of `LOST` when the broker is away.
        """
        channel = await self._publishing()
        message = to_message(event, trace=tracing.current_traceparent(), persistent=persistent)
        # Without `wait` a batch is written in one go; otherwise each message waits until the one before it has been.
        await channel.basic_publish(
            message.body,
            exchange=topology.EXCHANGE,
            routing_key=event.type,
            properties=message.properties,
            mandatory=mandatory,
            timeout=_CONFIRM_SECONDS,
            wait=False,
        )

    async def _discard(self) -> None:
        """Close the connection, whatever state it is in."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*LOST):
                await connection.close()

    async def _publishing(self) -> aiormq.Channel:
        """The one channel on which this process publishes."""
        async with self._publishing_lock:
            if self._publishing_channel is None or self._publishing_channel.is_closed:
                self._publishing_channel = await self.channel()
            channel = await self._publishing_channel.get_underlay_channel()
        assert isinstance(channel, aiormq.Channel)
        return channel

    async def deliveries(
        self,
        queue: topology.Queue,
        *,
        stopping: asyncio.Event,
        prefetch: int = 1,
        priority: int = 0,
        finish: Callable[[], Awaitable[None]] | None = None,
    ) -> AsyncGenerator[AbstractIncomingMessage, None]:
        """Messages of `queue` until `stopping` is set, across reconnections. Each must be acked or rejected by the caller.

        A consumer of higher `priority` is served first as long as it has room. When stopping, `finish` is awaited while what is in hand can
        still be acked.
        """
        while not stopping.is_set():
            try:
                async with patience.heeding(), await self.channel() as channel:
                    await channel.set_qos(prefetch_count=prefetch)
                    cancelled = await self._consumer_cancelled(channel)
                    declared = await channel.get_queue(queue.name, ensure=False)
                    async with declared.iterator(arguments={"x-priority": priority}) as messages:
                        self._lost = False
                        closer = asyncio.create_task(_close_when(messages, stopping, cancelled), name=f"close-{queue.name}")
                        try:
                            async for message in messages:
                                yield message
                            if finish is not None and stopping.is_set():
                                await finish()
                        finally:
                            closer.cancel()
            except LOST as error:
                if not self._lost:  # told once, however many consumers lose it, and however often they try
                    log.warning("broker lost", queue=queue.name, error=repr(error))
                self._lost = True
                self._declared = self._declared and not isinstance(error, ChannelNotFoundEntity)
                await patience.wait(stopping, _RETRY_SECONDS)

    async def ready(self, queue: topology.Queue) -> int:
        """How many messages of `queue` wait for a consumer; those that a consumer has and has not acked are not among them.

        Raises one of `LOST`; also, once, for a queue that was deleted, which is declared again at the next call for a channel.
        """
        try:
            async with patience.heeding(), await self.channel() as channel:
                declared = await channel.declare_queue(queue.name, passive=True)
                return declared.declaration_result.message_count or 0
        except ChannelNotFoundEntity:
            self._declared = False
            raise

    async def waiting(self, queue: topology.Queue, size: int) -> AsyncGenerator[list[AbstractIncomingMessage], None]:
        """The messages that wait in `queue`, until there is none, in lists of at most `size`. Each must be settled by the caller.

        Raises one of `LOST`; also, once, for a queue that was deleted, as `ready` does.
        """
        try:
            async with patience.heeding(), await self.channel() as channel:
                source = await channel.get_queue(queue.name, ensure=False)
                while True:
                    found: list[AbstractIncomingMessage] = []
                    while len(found) < size and (message := await source.get(fail=False, timeout=_CONFIRM_SECONDS)) is not None:
                        found.append(message)
                    if found:
                        yield found
                    if len(found) < size:
                        return
        except ChannelNotFoundEntity:
            self._declared = False
            raise

    async def _consumer_cancelled(self, channel: AbstractChannel) -> asyncio.Event:
        """Set when the broker ends a consumer of `channel`, as for a deleted queue: the iterator alone would wait for ever."""
        cancelled = asyncio.Event()

        def on_cancel(_frame: object) -> None:
            self._declared = False
            cancelled.set()

        (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(on_cancel)
        return cancelled

    async def ping(self) -> None:
        """Raises one of `LOST` when the broker cannot be reached."""
        async with patience.heeding(), await self.channel():
            pass


async def _close_when(messages: AbstractQueueIterator, *events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait(), name="close-wait") for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    with contextlib.suppress(*LOST):
        await messages.close()


async def settle(message: AbstractIncomingMessage, *, poison: bool = False) -> None:
    """Ack a message that was dealt with, or reject one that is poison. A lost channel is no error: the broker delivers it again."""
    try:
        await (message.reject(requeue=False) if poison else message.ack())
    except LOST as error:
        log.info("ack lost", error=repr(error))
