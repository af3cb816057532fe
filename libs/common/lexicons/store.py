"""The lexicons of tenants, and the copies that jobs have of them.

A job that names a lexicon gets a copy at its submission and never looks at the lexicon again: whatever becomes of that, every attempt at
the job runs with what was submitted.
"""

from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec

from common import ids
from common.database import Connection, Queries
from common.ids import JobId
from common.lexicons.entries import Correction, Draft, Entries

SQL = Queries(Path(__file__).with_name("lexicons.sql"))

MAX_LEXICONS = 100
"""Of one tenant."""


class Lexicon(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `lexicons`."""

    id: UUID
    tenant: str
    name: str
    corrections: tuple[Correction, ...]
    hotwords: tuple[str, ...]
    created_at: datetime
    updated_at: datetime


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The same with numbers for what is in it."""

    id: UUID
    name: str
    corrections: int
    hotwords: int
    created_at: datetime
    updated_at: datetime


async def create(connection: Connection, tenant: str, draft: Draft) -> Lexicon | None:
    """A new lexicon; None when the tenant has `MAX_LEXICONS`."""
    async with connection.transaction():
        await connection.execute(SQL["lock_lexicons"], tenant)
        row = await connection.fetchrow(
            SQL["create_lexicon"], ids.new(), tenant, draft.name, draft.corrections, draft.hotwords, MAX_LEXICONS
        )
    return None if row is None else msgspec.convert(dict(row), Lexicon)


async def get(connection: Connection, lexicon_id: UUID, tenant: str) -> Lexicon | None:
    """The lexicon, if it is this tenant's."""
    row = await connection.fetchrow(SQL["get_lexicon"], lexicon_id, tenant)
    return None if row is None else msgspec.convert(dict(row), Lexicon)


async def every(connection: Connection, tenant: str) -> list[Summary]:
    """All of a tenant's, oldest first."""
    return [msgspec.convert(dict(row), Summary) for row in await connection.fetch(SQL["list_lexicons"], tenant)]


async def replace(connection: Connection, lexicon_id: UUID, tenant: str, draft: Draft) -> Lexicon | None:
    """The lexicon with other contents, if it is this tenant's."""
    row = await connection.fetchrow(SQL["replace_lexicon"], lexicon_id, tenant, draft.name, draft.corrections, draft.hotwords)
    return None if row is None else msgspec.convert(dict(row), Lexicon)


async def delete(connection: Connection, lexicon_id: UUID, tenant: str) -> bool:
    """Whether there was one. Jobs that were submitted with it keep their copies."""
    return await connection.fetchval(SQL["delete_lexicon"], lexicon_id, tenant) is not None


async def freeze(connection: Connection, job_id: JobId, lexicon_id: UUID, tenant: str) -> bool:
    """Give a new job its copy; False when the tenant has no such lexicon."""
    return await connection.fetchval(SQL["freeze_lexicon"], job_id, lexicon_id, tenant) is not None


async def of_job(connection: Connection, job_id: JobId) -> Entries:
    """The job's copy; empty for a job that was submitted without a lexicon."""
    row = await connection.fetchrow(SQL["job_lexicon"], job_id)
    return Entries() if row is None else msgspec.convert(dict(row), Entries)
