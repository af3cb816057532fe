"""Another system's ears: a durable queue of its own on the exchange, which outlives restarts of the broker and loses nothing."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aio_pika

from common import topology
from common.broker import LOST

ENDS = ("job.completed", "job.failed", "job.cancelled")
_TYPES = (*ENDS, "job.expired", "job.deleted")
QUEUE = "chaos.tap"


class Tap:
    """`events[job id][event id]` is the event's type and the job's status in it. Repeated messages are one event."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.events: defaultdict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
        self.ready = asyncio.Event()
        self.repeated = 0

    async def run(self) -> None:
        while True:
            try:
                connection = await aio_pika.connect(self._url, timeout=10)
                async with connection:
                    channel = await connection.channel()
                    await channel.set_qos(prefetch_count=50)
                    queue = await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
                    for each in _TYPES:
                        await queue.bind(topology.EXCHANGE, each)
                    self.ready.set()
                    async with queue.iterator() as messages:
                        async for message in messages:
                            self.keep(message.headers, message.body)
                            await message.ack()
            except LOST:
                await asyncio.sleep(0.5)

    def keep(self, headers: Mapping[str, Any], body: bytes) -> None:
        """Remember a message's event."""
        events = self.events[str(headers["ce-subject"])]
        event_id = str(headers["ce-id"])
        self.repeated += event_id in events
        events[event_id] = (str(headers["ce-type"]), json.loads(body)["status"])


@asynccontextmanager
async def tapping(url: str) -> AsyncIterator[Tap]:
    tap = Tap(url)
    task = asyncio.create_task(tap.run(), name="tap")
    try:
        await tap.ready.wait()
        yield tap
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
