"""Cleaning up on request: ingest asks, a janitor does it, and what came of it is kept in Postgres for a week, for who asked.

The request is an event, so it is carried out once a janitor is there to do it, whatever becomes of who asked.
"""

from datetime import datetime
from pathlib import Path
from typing import Literal
from uuid import UUID

import msgspec

from common import ids, outbox
from common.database import Connection, Queries

SQL = Queries(Path(__file__).with_name("cleanup.sql"))

CHANNEL = "cleanup"
"""Notified with the id of a request that has been carried out."""

DutyName = Literal[
    "expire",
    "audio",
    "expired_uploads",
    "uploads",
    "orphans",
    "lost",
    "dead_letters",
    "deliveries",
    "tombstones",
    "idempotency_keys",
    "measure",
]


class Cleanup(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The request. No duties: all that clean up. Without an `id` nobody waits for the reports."""

    duties: tuple[DutyName, ...] = ()
    dry_run: bool = False
    id: UUID | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one sweep did, or in a dry run would have done. `complete` is false when it failed or was stopped before its last batch.

    `backlog_seconds`: how long the thing that had waited longest had been due.
    """

    duty: str
    dry_run: bool
    scanned: int
    swept: int
    failed: int
    seconds: float
    backlog_seconds: float = 0
    complete: bool
    error: str | None


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it stands; `reports` come when it has been carried out."""

    id: UUID
    request: Cleanup
    requested_at: datetime
    finished_at: datetime | None
    reports: list[Report] | None


async def ask(connection: Connection, request: Cleanup) -> UUID:
    """Have it carried out; returns the id by which its reports are found."""
    round_id = ids.new()
    async with connection.transaction():
        await connection.execute(SQL["forget_cleanups"])
        await connection.execute(SQL["add_cleanup"], round_id, request)
        event = msgspec.structs.replace(request, id=round_id)
        await outbox.add(connection, "cleanup.requested", subject=str(round_id), data=msgspec.json.encode(event))
    return round_id


async def finish(connection: Connection, round_id: UUID, reports: list[Report]) -> None:
    """It has been carried out; who waits is told. A second time changes nothing."""
    await connection.execute(SQL["finish_cleanup"], round_id, reports)


async def read(connection: Connection, round_id: UUID) -> Round | None:
    """How it stands."""
    row = await connection.fetchrow(SQL["read_cleanup"], round_id)
    return None if row is None else msgspec.convert(dict(row), Round)
