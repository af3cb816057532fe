"""What jobs have in the bucket, as far as Postgres knows: recordings, results, and what was found to be lost of them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import msgspec

from common.database import Connection, Queries
from common.ids import JobId, LeaseToken
from common.jobs.job import Job, Status, from_row
from common.jobs.receipt import RECORDING
from common.storage_keys import parse_key

SQL = Queries(Path(__file__).with_name("objects.sql"))


class Owner(msgspec.Struct, frozen=True):
    """What a job says about its objects: `leases` are those under which results may lie (running attempt and winner)."""

    status: Status
    leases: frozenset[LeaseToken]


class Holding(msgspec.Struct, frozen=True):
    """What a job should have in the store: its recording, unless that was deleted or replaced, and its result's `keys`, by name.

    `lost`: what was not there when somebody looked.
    """

    id: JobId
    status: Status
    audio_deleted_at: datetime | None
    lost: tuple[str, ...]
    keys: dict[str, str]
    redact: bool


async def owners(connection: Connection, ids: Iterable[JobId]) -> dict[JobId, Owner]:
    """Those of `ids` that are jobs; what lies in the bucket under any other is nobody's."""
    return {row["id"]: _owner(row) for row in await connection.fetch(SQL["job_owners"], list(ids))}


async def holdings(connection: Connection, *, after: JobId | None, limit: int) -> list[Holding]:
    """Jobs that must have objects in the store; a page of them, following the id `after`."""
    return [msgspec.convert(dict(row), Holding) for row in await connection.fetch(SQL["holdings"], limit, after)]


async def mark_lost(connection: Connection, lost: Mapping[JobId, Sequence[str]]) -> dict[JobId, tuple[str, ...]]:
    """Say of each job what the store has lost of it, nothing included; those for which that is news, with what was found to be true."""
    rows = await connection.fetch(SQL["mark_lost"], list(lost), [",".join(names) for names in lost.values()])
    return {row["id"]: tuple(row["lost"]) for row in rows}


async def recordings_over(connection: Connection, older_than: timedelta, *, after: Job | None, limit: int) -> list[Job]:
    """Jobs that ended longer ago than that and still have their recording; a page of them, following the job `after`."""
    return await _recorded(connection, "recordings_over", after, limit, older_than)


async def recordings_transcribed(connection: Connection, *, after: Job | None, limit: int) -> list[Job]:
    """The same of all that are completed."""
    return await _recorded(connection, "recordings_transcribed", after, limit)


async def recordings_replaced(connection: Connection, *, after: Job | None, limit: int) -> list[Job]:
    """The same of those that have a redacted copy in the recording's place."""
    return await _recorded(connection, "recordings_replaced", after, limit)


async def forget_recordings(connection: Connection, jobs: Sequence[Job]) -> int:
    """Note that they are gone; returns for how many of the jobs that is news. Call only when they are gone.

    What was lost when the job was read stays so: deleting what is not there succeeds, too.
    """
    lost = [job.id for job in jobs if RECORDING in job.lost]
    return len(await connection.fetch(SQL["forget_recordings"], [job.id for job in jobs], lost))


def _owner(row: asyncpg.Record) -> Owner:
    keys = (row["result"] or {}).get("keys", {}).values()
    won = {place.lease for key in keys if (place := parse_key(key)) is not None}
    return Owner(Status(row["status"]), frozenset({*won, row["lease_token"]} - {None}))


async def _recorded(connection: Connection, query: str, after: Job | None, limit: int, *arguments: object) -> list[Job]:
    key = (None, None) if after is None else (after.finished_at, after.id)
    return [from_row(row) for row in await connection.fetch(SQL[query], limit, *key, *arguments)]
