"""Every attempt at a delivery that is due has its `delivery.due` on the way to a notifier: what the broker lost is announced again.

    missing = attempts that have been due for a while - announcements in the outbox - messages ready in the queue

An attempt that is being made, or that waits for its next time, is due later, so it does not count. Unlike a token for jobs, an
announcement is for one delivery and no other, and which of them were lost cannot be told: the ones that have been due for longest are
announced again. If those were not the lost ones they find that the attempt has been made, and the lost ones are what is left when the queue
is empty. A delivery is announced again once in `PATIENCE` at the most.
"""

from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

from common import topology
from common.broker import Broker
from common.database import Connection, Queries
from common.due import Due, about, announce_all
from services.janitor.duty import Counts, Sweep

SQL = Queries(Path(__file__).with_name("reannounce.sql"))

PATIENCE = timedelta(seconds=60)
_LIMIT = 1_000


class Reannounce:
    name = "reannounce"

    def __init__(self, broker: Broker, patience: timedelta = PATIENCE) -> None:
        self._broker = broker
        self._patience = patience

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        missing = await self._count(sweep.connection)
        rows = []
        if missing:
            async with sweep.connection.transaction():
                rows = await sweep.connection.fetch(SQL["overdue_attempts"], self._patience, min(missing, _LIMIT))
                due = [(about(row["job_id"], row["endpoint_id"]), Due(row["id"], row["attempt"] + 1)) for row in rows]
                await announce_all(sweep.connection, due)
            for _, attempt in due:
                sweep.tell(self.name, delivery_id=str(attempt.delivery_id), attempt=attempt.attempt)
        late = sweep.late(row["overdue_since"] for row in rows)
        yield Counts(scanned=missing, swept=len(rows), late=late)

    async def _count(self, connection: Connection) -> int:
        """As many as are missing both before the queue is looked at and after it: what moves meanwhile misses one of the two."""
        [before] = await connection.fetch(SQL["count_attempts"], self._patience)
        if not before["overdue"]:
            return 0
        ready = await self._broker.ready(topology.NOTIFIER_DELIVERIES)
        [after] = await connection.fetch(SQL["count_attempts"], self._patience)
        counts: list[int] = [row["overdue"] - row["unpublished"] for row in (before, after)]
        return max(0, min(counts) - ready)
