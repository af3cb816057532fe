"""The references of jobs, as they were submitted; they go when their jobs do."""

from pathlib import Path

import msgspec

from common.database import Connection, Queries
from common.ids import JobId
from common.references.lines import Line

SQL = Queries(Path(__file__).with_name("references.sql"))


async def keep(connection: Connection, job_id: JobId, lines: tuple[Line, ...]) -> None:
    """Write down the lines of a new job."""
    await connection.execute(SQL["keep_reference"], job_id, lines)


async def of_job(connection: Connection, job_id: JobId) -> tuple[Line, ...]:
    """Its lines; none for a job that was submitted without."""
    lines = await connection.fetchval(SQL["job_reference"], job_id)
    return () if lines is None else msgspec.convert(lines, tuple[Line, ...])
