"""The relay publishes what the outbox holds: take due rows, publish each with a confirm, delete what was confirmed, commit.

Any number may run at once (every service runs one), as each locks the rows it takes. Dying before the commit means that the rows are
published again by another: at least once. NOTIFY wakes the writer's own within milliseconds; the poll is what all rely on.
"""

import asyncio
import time
from datetime import timedelta

import structlog
from aio_pika.exceptions import DeliveryError, PublishError

from common import outbox, patience, topology, tracing
from common.broker import LOST, Broker
from common.database import AWAY, Connection, Pool
from common.envelope import Event

log = structlog.get_logger(__name__)

_BATCH = 500  # what a relay that dies may leave to be published twice
_FEW = 25  # about a millisecond of the loop's time
_POLL = timedelta(seconds=1)


class Relay:
    """`notify` is for a listener on the `outbox` channel; it wakes for events of `process`, the name by which its own pool writes them.

    What others wrote it takes when it finds it.

    With a `share` it gives way, for a process whose own work must not wait behind what others announce: its batches are small, and while
    there is more than one to publish it works for no more than that part of the time.
    """

    def __init__(self, pool: Pool, broker: Broker, *, process: str = "", share: float = 1.0) -> None:
        self._pool = pool
        self._broker = broker
        self._process = process
        self._batch = _BATCH if share == 1 else _FEW
        self._rest = (1 - share) / share
        self.wake = asyncio.Event()

    def notify(self, writer: str) -> None:
        """Somebody wrote an event; nobody in particular, when that is not known."""
        if writer in {"", self._process}:
            self.wake.set()

    async def run(self) -> None:
        """Publish for ever."""
        while True:
            self.wake.clear()
            began = time.monotonic()
            try:
                taken, due = await self._look()
                if taken == self._batch:
                    await asyncio.sleep(self._rest * (time.monotonic() - began))
                    continue
                pause = _pause_for(due)
            except (*LOST, *AWAY) as error:
                log.warning("relay interrupted", error=repr(error))
                pause = _POLL
            await patience.wait(self.wake, pause.total_seconds())

    async def publish_due(self) -> int:
        """Publish one batch of due events; returns how many were taken."""
        taken, _ = await self._look()
        return taken

    async def _look(self) -> tuple[int, timedelta | None]:
        """The same; and how long it is until the next of the others is due."""
        async with self._pool.acquire() as connection, connection.transaction():
            if taken := await outbox.take(connection, self._batch):
                await self._settle(connection, taken)
            return len(taken), await outbox.next_due(connection)

    async def _settle(self, connection: Connection, taken: list[tuple[int, Event]]) -> None:
        results = await asyncio.gather(*(self._publish(event) for _, event in taken))
        confirmed = [row for (row, _), done in zip(taken, results, strict=True) if done]
        refused = [row for (row, _), done in zip(taken, results, strict=True) if not done]
        await outbox.delete(connection, confirmed)
        if refused:
            await outbox.postpone(connection, refused)

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


def _pause_for(due: timedelta | None) -> timedelta:
    """Until the next event falls due, but never longer than the poll. What is due already another relay has, or it would be ours."""
    return _POLL if due is None or due <= timedelta(0) else min(due, _POLL)
