"""The log of deliveries that are over, once it has been kept for long enough."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

from common.database import Queries
from services.janitor.duty import Counts, Sweep

SQL = Queries(Path(__file__).with_name("deliveries.sql"))

_BATCH = 1_000


class Deliveries:
    name = "deliveries"

    def __init__(self, retention: timedelta) -> None:
        self._retention = retention

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        while True:
            rows = await sweep.connection.fetch(SQL["old_deliveries"], self._retention, _BATCH)
            late = sweep.late(row["finished_at"] + self._retention for row in rows)
            yield Counts(scanned=len(rows), swept=len(rows), late=late)
            if len(rows) < _BATCH:
                return
