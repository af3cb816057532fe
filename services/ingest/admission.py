"""Who must wait: 429 with Retry-After when the queue is full, a tenant has its share, or a key asks too often; 503 when space is low.

A submission is checked before its body is read, which spares both sides the upload, and again in the transaction that creates the job, as
many may have arrived at once. A tenant's quota then holds to the job, since its jobs are admitted one by one; the limit of the whole queue
may be passed by as many as commit at the same moment. How long a recording is, is known for certain only when it has been decoded, so the
hours of a day or a month are used up once what was submitted reaches them: the last recording may pass them. All of it is
counted in Postgres, so it holds across any number of processes.
"""

import math
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import msgspec
from asyncpg import Record

from common.database import Connection, Pool, Queries
from services.ingest.problems import Problem

SQL = Queries(Path(__file__).with_name("admission.sql"))
_QUEUE_SECONDS = 30  # jobs take minutes: asking more often would not help
_SPACE_SECONDS = 300
_WINDOW = timedelta(minutes=1)
_HOUR = 3_600


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Queued jobs, of everybody together and of each tenant; hours of audio that a tenant may submit, unless it has limits of its own.

    None: no limit.
    """

    queued: int | None = None
    queued_per_tenant: int | None = None
    audio_hours_per_day: float | None = None
    audio_hours_per_month: float | None = None


class Admission:
    """Who may submit now."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def check(self, connection: Connection | Pool, tenant: str) -> None:
        """Raises `Problem`: 429 when there is no room for another job of `tenant`, 503 when the store has none for anybody's."""
        load = await self._load(connection, tenant)
        if load["space"] == "critical":
            raise Problem(
                503,
                "storage_full",
                "The store is nearly full and takes no more recordings until something is deleted; transcripts can be read as ever.",
                headers={"Retry-After": str(_SPACE_SECONDS)},
            )
        _check_audio("day", load["day_seconds"], load["day_limit"], load["day_left"])
        _check_audio("month", load["month_seconds"], load["month_limit"], load["month_left"])
        self._check_queue(load)

    async def confirm(self, connection: Connection, tenant: str) -> None:
        """The same, for good: within the transaction that creates the job, before it does."""
        await connection.execute(SQL["lock_quota"], tenant)
        await self.check(connection, tenant)

    async def confirm_again(self, connection: Connection, tenant: str) -> None:
        """The same for a job that is queued again: its recording is there already, and its hours are counted."""
        await connection.execute(SQL["lock_quota"], tenant)
        self._check_queue(await self._load(connection, tenant))

    async def _load(self, connection: Connection | Pool, tenant: str) -> Record:
        limits = self._limits
        [load] = await connection.fetch(
            SQL["load"],
            tenant,
            limits.queued or 0,
            limits.queued_per_tenant or 0,
            _seconds(limits.audio_hours_per_day),
            _seconds(limits.audio_hours_per_month),
        )
        return load

    def _check_queue(self, load: Record) -> None:
        limits = self._limits
        if limits.queued_per_tenant is not None and load["own"] >= limits.queued_per_tenant:
            detail = f"Your tenant has {limits.queued_per_tenant} jobs in the queue, as many as it may; submit again later."
            raise _wait("quota_exceeded", detail, limits.queued_per_tenant)
        if limits.queued is not None and load["queued"] >= limits.queued:
            detail = f"There are {limits.queued} jobs in the queue, as many as it takes; submit again later."
            raise _wait("queue_full", detail, limits.queued)


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


def _check_audio(window: str, used: float, limit: float | None, left: timedelta) -> None:
    if limit is not None and used >= limit:
        raise Problem(
            429,
            "quota_exceeded",
            f"Your tenant has submitted {used / _HOUR:.1f} hours of audio this {window} (UTC), and may submit {limit / _HOUR:g}.",
            headers={"Retry-After": str(math.ceil(left.total_seconds()))},
            limit=limit / _HOUR,
        )


def _seconds(hours: float | None) -> float | None:
    return None if hours is None else hours * _HOUR
