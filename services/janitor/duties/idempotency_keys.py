"""Idempotency keys whose answer is not repeated any more, and those of requests that died."""

from collections.abc import AsyncGenerator
from pathlib import Path

from common.database import Queries
from services.janitor.duty import Counts, Sweep

SQL = Queries(Path(__file__).with_name("idempotency_keys.sql"))

_BATCH = 1_000


class IdempotencyKeys:
    name = "idempotency_keys"

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        while True:
            rows = await sweep.connection.fetch(SQL["old_keys"], _BATCH)
            yield Counts(scanned=len(rows), swept=len(rows), late=sweep.late(row["expires_at"] for row in rows))
            if len(rows) < _BATCH:
                return
