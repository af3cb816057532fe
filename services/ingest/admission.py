"""Who must wait: 429 with Retry-After when the queue is full, when a tenant has its share of it, and when a key asks too often.

A submission is checked before its body is read, which spares both sides the upload, and again in the transaction that creates the job, as
many may have arrived at once. A tenant's quota then holds to the job, since its jobs are admitted one by one; the limit of the whole queue
may be passed by as many as commit at the same moment. All of it is counted in Postgres, so it holds across any number of processes.
"""

import math
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from common.database import Connection, Pool, Queries
from services.ingest.problems import Problem

SQL = Queries(Path(__file__).with_name("admission.sql"))
_QUEUE_SECONDS = 30  # jobs take minutes: asking more often would not help
_WINDOW = timedelta(minutes=1)


class Admission:
    """Limits of queued jobs: of everybody together, and of each tenant; None: no limit."""

    def __init__(self, max_queued: int | None, max_queued_per_tenant: int | None) -> None:
        self._all = max_queued
        self._own = max_queued_per_tenant

    async def check(self, connection: Connection | Pool, tenant: str) -> None:
        """Raises `Problem` 429 when there is no room for another job of `tenant`."""
        if self._all is None and self._own is None:
            return
        [load] = await connection.fetch(SQL["queue_load"], tenant, self._all or 0, self._own or 0)
        if self._own is not None and load["own"] >= self._own:
            raise _wait(
                "quota_exceeded", f"Your tenant has {self._own} jobs in the queue, as many as it may; submit again later.", self._own
            )
        if self._all is not None and load["queued"] >= self._all:
            raise _wait("queue_full", f"There are {self._all} jobs in the queue, as many as it takes; submit again later.", self._all)

    async def confirm(self, connection: Connection, tenant: str) -> None:
        """The same, for good: within the transaction that creates the job, before it does."""
        if self._own is not None:
            await connection.execute(SQL["lock_quota"], tenant)
        await self.check(connection, tenant)


class RateLimit:
    """So many requests a minute for each key: that many at once, and from then on evenly."""

    def __init__(self, pool: Pool, per_minute: int) -> None:
        self._pool = pool
        self._per_minute = per_minute

    async def take(self, key_id: UUID) -> None:
        """Raises `Problem` 429 when the key's bucket is empty."""
        [row] = await self._pool.fetch(SQL["take_token"], key_id, _WINDOW / self._per_minute, _WINDOW)
        if row["taken"]:
            return
        wait = row["wait"] or timedelta(0)
        raise Problem(
            429,
            "rate_limited",
            f"This key may make {self._per_minute} requests a minute.",
            headers={"Retry-After": str(max(1, math.ceil(wait.total_seconds())))},
            limit=self._per_minute,
        )


def _wait(code: str, detail: str, limit: int) -> Problem:
    return Problem(429, code, detail, headers={"Retry-After": str(_QUEUE_SECONDS)}, limit=limit)
