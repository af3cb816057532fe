"""Listens to the exchange as another system would: a queue of its own, bound to whatever it wants to hear."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aio_pika.abc import AbstractIncomingMessage

from common import topology
from common.broker import Broker


class Tap:
    """What was heard so far, oldest first."""

    def __init__(self) -> None:
        self.messages: list[AbstractIncomingMessage] = []
        self._arrived = asyncio.Event()

    async def hear(self, message: AbstractIncomingMessage) -> None:
        self.messages.append(message)
        self._arrived.set()

    async def until(self, count: int, limit: float = 60) -> list[AbstractIncomingMessage]:
        """Wait until so many have been heard."""
        async with asyncio.timeout(limit):
            while len(self.messages) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.messages


@asynccontextmanager
async def tap(broker: Broker, *types: str) -> AsyncIterator[Tap]:
    """Hear events of these types (binding keys, `job.#`) for the time of the block."""
    heard = Tap()
    async with await broker.channel() as channel:
        queue = await channel.declare_queue(exclusive=True)
        for binding in types:
            await queue.bind(topology.EXCHANGE, binding)
        await queue.consume(heard.hear, no_ack=True)
        yield heard
