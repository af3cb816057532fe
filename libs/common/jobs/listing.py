"""Pages of a tenant's jobs: newest first, filtered, each page beginning where the last one ended.

A page is found by its place in an index and never by counting, so the thousandth costs what the first does, and jobs that come or go
between two pages make none appear twice. The place is the last job's time and id, not the job itself, which may be gone by then.
"""

import base64
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Self
from uuid import UUID

import msgspec

from common.conditions import Conditions
from common.database import Connection, Queries
from common.ids import JobId
from common.jobs.job import Job, Status, from_row

SQL = Queries(Path(__file__).with_name("listing.sql"))

_PLACE = struct.Struct(">q16s")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """All that are given must hold. The times are exclusive; a job has the `metadata` if it has all of these pairs."""

    status: Status | None = None
    created_after: _Moment | None = None
    created_before: _Moment | None = None
    metadata: dict[str, str] = {}


class Place(msgspec.Struct, frozen=True):
    """Where a page ended."""

    created_at: datetime
    id: JobId

    @classmethod
    def of(cls, job: Job) -> Self:
        return cls(job.created_at, job.id)

    def encode(self) -> str:
        """As a cursor: opaque, and safe in a URL."""
        microseconds = (self.created_at - _EPOCH) // timedelta(microseconds=1)
        return base64.urlsafe_b64encode(_PLACE.pack(microseconds, self.id.bytes)).decode()

    @classmethod
    def decode(cls, cursor: str) -> Self:
        """Raises `ValueError` for what is no cursor."""
        try:
            microseconds, data = _PLACE.unpack(base64.b64decode(cursor, altchars=b"-_", validate=True))
            return cls(_EPOCH + timedelta(microseconds=microseconds), JobId(UUID(bytes=data)))
        except (ValueError, struct.error, OverflowError) as error:
            raise ValueError(f"{cursor!r} is no cursor: {error}") from None


async def page(connection: Connection, tenant: str, filters: Filters, *, after: Place | None, limit: int) -> list[Job]:
    """At most `limit` jobs, from the newest or from `after` on."""
    sql, arguments = statement(tenant, filters, after=after, limit=limit)
    async with connection.transaction(readonly=True):
        if filters.metadata:
            await connection.execute(SQL["plan_for_these_values"])
        return [from_row(row) for row in await connection.fetch(sql, *arguments)]


def statement(tenant: str, filters: Filters, *, after: Place | None, limit: int) -> tuple[str, list[Any]]:
    """The query with the conditions that were asked for, and its arguments."""
    asked = Conditions(SQL, tenant, limit)
    asked.add("with_status", filters.status)
    asked.add("created_after", filters.created_after)
    asked.add("created_before", filters.created_before)
    asked.add("with_metadata", filters.metadata or None)
    if after is not None:
        asked.add("after_position", after.created_at, after.id)
    return asked.statement("list_jobs")
