"""Whatever is due comes to a notifier: what the broker lost is announced again.

    missing = attempts that have been due for a while - announcements in the outbox - messages ready in the queue

An attempt that is being made, or that waits for its next time, is due later, so it does not count; nor does what is due in a lane where
another is being made, for whoever makes it goes on there. Which announcements were lost cannot be told, and need not be: each is a token
for its lane. So no more are announced again than a lane usually has places, in the lanes that have waited for longest. If those were not
the lost ones, a token too many comes there, and the lost ones are what is left when the queue is empty.

Nor can it be told from a loss that a notifier remembers a lane which its tenant has no place for just now. It costs as little: a lane is
announced again once in `PATIENCE` at the most, however much is due in it, and keeps its order.
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
_OF_A_LANE = 4
"""As many as it has places unless set otherwise: it goes on with all of them."""


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
                await sweep.connection.execute(SQL["forget_lanes"])
                rows = await sweep.connection.fetch(SQL["overdue_attempts"], self._patience, min(missing, _LIMIT), _OF_A_LANE)
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
