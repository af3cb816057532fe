"""The relay publishes what the outbox holds: take due rows, publish each with a confirm, delete what was confirmed, commit.

Any number may run at once (every service runs one), as each locks the rows it takes. Dying before the commit means that the rows are
published again by another: at least once. NOTIFY wakes it within milliseconds; the poll is what it relies on.
"""

import asyncio
import time
from datetime import timedelta

import structlog
from aio_pika.exceptions import DeliveryError, PublishError

from common import outbox, patience, topology, tracing
from common.broker import LOST, Broker
from common.database import AWAY, Pool
from common.envelope import Event

log = structlog.get_logger(__name__)

_BATCH = 500  # what a relay that dies may leave to be published twice
_FEW = 25  # about a millisecond of the loop's time
_POLL = timedelta(seconds=1)
_BREATH = timedelta(milliseconds=20)  # between looks at due rows that another relay has locked


class Relay:
    """`wake` is set by a listener on the `outbox` channel (or by anyone who knows that there is something to publish).

    With a `share` it gives way, for a process whose own work must not wait behind what others announce: its batches are small, and while
    there is more than one to publish it works for no more than that part of the time.
    """

    def __init__(self, pool: Pool, broker: Broker, *, share: float = 1.0) -> None:
        self._pool = pool
        self._broker = broker
        self._batch = _BATCH if share == 1 else _FEW
        self._rest = (1 - share) / share
        self.wake = asyncio.Event()

    async def run(self) -> None:
        """Publish for ever."""
        while True:
            self.wake.clear()
            began = time.monotonic()
            try:
                if await self.publish_due() == self._batch:
                    await asyncio.sleep(self._rest * (time.monotonic() - began))
                    continue
                pause = await self._pause()
            except (*LOST, *AWAY) as error:
                log.warning("relay interrupted", error=repr(error))
                pause = _POLL
            await patience.wait(self.wake, pause.total_seconds())

    async def publish_due(self) -> int:
        """Publish one batch of due events; returns how many were taken."""
        async with self._pool.acquire() as connection, connection.transaction():
            taken = await outbox.take(connection, self._batch)
            if not taken:
                return 0
            results = await asyncio.gather(*(self._publish(event) for _, event in taken))
            confirmed = [row for (row, _), done in zip(taken, results, strict=True) if done]
            refused = [row for (row, _), done in zip(taken, results, strict=True) if not done]
            await outbox.delete(connection, confirmed)
            if refused:
                await outbox.postpone(connection, refused)
        return len(taken)

    async def _publish(self, event: Event) -> bool:
        """Whether the broker has it. A lost connection raises instead, which leaves the whole batch for the next round."""
        with tracing.span(f"publish {event.type}", kind="producer", parent=event.trace) as span:
            tracing.describe_message(span, event)
            try:
                await self._broker.publish(event, mandatory=event.type in topology.ROUTED)
            except (DeliveryError, PublishError) as error:
                log.error("event refused by the broker", event_type=event.type, event_id=str(event.id), error=repr(error))
                return False
        return True

    async def _pause(self) -> timedelta:
        """Until the next event falls due, but never longer than the poll."""
        async with self._pool.acquire() as connection:
            return _pause_for(await outbox.next_due(connection))


def _pause_for(due: timedelta | None) -> timedelta:
    return _POLL if due is None else min(max(due, _BREATH), _POLL)
