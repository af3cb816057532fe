"""Where a job stands: what changes while it is watched, numbered by `revision`.

Postgres raises the revision at every change of any of the other columns, so of two states of a job the one with the higher revision is the
later one, wherever and in whatever order they were read.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from common.database import Connection, Queries
from common.ids import JobId
from common.jobs.job import Failure, Status

SQL = Queries(Path(__file__).with_name("state.sql"))


class JobState(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a `jobs` row that changes; `progress` in percent."""

    id: JobId
    revision: int
    status: Status
    stage: str | None
    progress: float
    attempt: int
    error: Failure | None


async def read(connection: Connection, job_id: JobId, tenant: str) -> JobState | None:
    """Where the job stands, if it is this tenant's."""
    row = await connection.fetchrow(SQL["read_state"], job_id, tenant)
    return None if row is None else msgspec.convert(dict(row), JobState)


async def read_many(connection: Connection, job_ids: Iterable[JobId]) -> dict[JobId, JobState]:
    """Where those of the jobs stand that exist, whoever's they are."""
    rows = await connection.fetch(SQL["read_states"], list(job_ids))
    return {row["id"]: msgspec.convert(dict(row), JobState) for row in rows}
