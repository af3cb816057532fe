"""The relay publishes what the outbox holds: take due rows, publish each with a confirm, delete what was confirmed, commit.

Any number may run at once (every service runs one), as each locks the rows it takes. Dying before the commit means that the rows are
published again by another: at least once. An event of which the broker says nothing, while it confirms others, is put off like one that it
refuses: a queue without a leader holds up its own. NOTIFY wakes the writer's own within milliseconds; the poll is what all rely on.
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
        """Raises one of `LOST` when the broker has confirmed nothing, which leaves the whole batch for the next round."""
        outcomes = await asyncio.gather(*(self._publish(event) for _, event in taken))
        known = [(row, outcome) for (row, _), outcome in zip(taken, outcomes, strict=True)]
        confirmed = [row for row, outcome in known if outcome is True]
        lost = next((outcome for outcome in outcomes if isinstance(outcome, Exception)), None)
        if lost is not None and not confirmed:
            raise lost
        await outbox.delete(connection, confirmed)
        if put_off := [row for row, outcome in known if outcome is False or isinstance(outcome, TimeoutError)]:
            await outbox.postpone(connection, put_off)

    async def _publish(self, event: Event) -> bool | Exception:
        """Whether the broker has taken it, or which one of `LOST` left that open."""
        with tracing.span(f"publish {event.type}", kind="producer", parent=event.trace) as span:
            tracing.describe_message(span, event)
            try:
                await self._broker.publish(event, mandatory=event.type in topology.ROUTED)
            except (DeliveryError, PublishError) as error:
                log.error("event refused by the broker", event_type=event.type, event_id=str(event.id), error=repr(error))
                return False
            except LOST as error:
                return error
        return True


def _pause_for(due: timedelta | None) -> timedelta:
    """Until the next event falls due, but never longer than the poll. What is due already another relay has, or it would be ours."""
    return _POLL if due is None or due <= timedelta(0) else min(due, _POLL)
