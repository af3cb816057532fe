"""What is left in Postgres, in the bucket and in the broker when all has come to rest and a janitor has swept without any grace."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta

import asyncpg

from bench.chaos.client import Tracked
from bench.chaos.place import Place
from bench.chaos.postgres import connected
from bench.chaos.tap import QUEUE
from bench.chaos.verdict import Finding
from common import topology
from common.database import Connection
from common.jobs import upkeep
from common.storage_keys import owner
from deploy.local.service import REPOSITORY
from services.janitor.duties.retell import LONGEST
from tests import bucket

_KEPT = frozenset({"receipts", "idempotency_keys"})
"""What names a deleted job by design: that and when it was deleted, and that there was a submission. No body may tell of it anywhere."""

_TABLES = "select table_name as name from information_schema.tables where table_schema = 'public'"
_FOUND = 'select gone from unnest($1::text[]) gone where exists (select from "{}" each where strpos(each::text, {}) > 0)'
_NAMED, _IN_BYTES = "gone", "encode(gone::bytea, 'hex')"


async def idle(place: Place) -> bool:
    """Whether nothing is left to be worked on, published or delivered, nor to be told again since a queue lost it."""
    async with connected(place.stack.database_url) as connection:
        left = await connection.fetchval(
            "select (select count(*) from outbox) + (select count(*) from deliveries where state = 'pending')"
            " + (select count(*) from jobs where status in ('queued', 'processing'))"
        )
        untold = await connection.fetch(upkeep.SQL["untold_jobs"], timedelta(0), LONGEST, 1)
    return not left and not untold


async def of_all(place: Place, jobs: list[Tracked], given_up: Sequence[str]) -> list[Finding]:
    """`given_up`: dead letters that nobody can have recorded."""
    await asyncio.to_thread(_sweep, place)
    gone = {job.id for job in jobs if job.deleted}
    over = gone | {job.id for job in jobs if job.status == "expired"}
    async with connected(place.stack.database_url) as connection:
        rows = {str(row["id"]) for row in await connection.fetch("select id from jobs")}
        of_postgres = [
            await of_tables(connection, gone),
            Finding("no job was made that no client was told of", len(rows), sorted(rows - {job.id for job in jobs})),
            await _of_duties(connection, len(jobs)),
            await of_letters(connection, given_up),
        ]
    return [*of_postgres, *await _of_bucket(place, rows, over), await _of_broker(place)]


async def of_tables(connection: Connection, gone: set[str]) -> Finding:
    tables = {row["name"] for row in await connection.fetch(_TABLES)}
    looks = [(table, _NAMED) for table in tables - _KEPT] + [(table, _IN_BYTES) for table in tables]
    named = [f"{row['gone']} in {look[0]}" for look in looks for row in await connection.fetch(_FOUND.format(*look), sorted(gone))]
    return Finding("no table names a deleted job", len(gone), named)


async def _of_duties(connection: asyncpg.Connection, jobs: int) -> Finding:
    deliveries = [f"delivery {row['id']}" for row in await connection.fetch("select id from deliveries where state = 'pending'")]
    events = [f"{row['type']} {row['subject']}" for row in await connection.fetch("select type, subject from outbox")]
    return Finding("no delivery and no event is left over", jobs, deliveries + events)


async def of_letters(connection: Connection, given_up: Sequence[str]) -> Finding:
    """The queues themselves are empty after a sweep: what was in them is in its table."""
    rows = await connection.fetch("select queue, reason, event_type, job_id, recorded_at from dead_letters order by recorded_at")
    letters = [f"{row['event_type']} of {row['job_id']} in {row['queue']}, {row['reason']}, {row['recorded_at']:%X}" for row in rows]
    return Finding("no message was given up", len(topology.QUEUES), [*letters, *given_up])


async def _of_bucket(place: Place, rows: set[str], over: set[str]) -> Iterable[Finding]:
    async with bucket.opened(place.environment) as store:
        keys = [found.key async for found in store.objects()]
        uploads = [found.key async for found in store.open_uploads()]
    results = Counter(owner(key) for key in keys if key.startswith("results/"))
    return [
        Finding("no object is left of deleted and expired jobs", len(keys), [key for key in keys if owner(key) in over]),
        Finding("no object is left that nobody owns", len(keys), [key for key in keys if owner(key) not in rows] + uploads),
        Finding("a job has one result", len(results), [job_id for job_id, count in results.items() if count != 1]),
    ]


async def _of_broker(place: Place) -> Finding:
    """Nothing waits or is unacked, and there are no other queues than there should be."""
    messages = await asyncio.to_thread(place.stack.rabbitmq.messages)
    ours = {name for queue in topology.QUEUES for name in (queue.name, queue.dead)}
    left = [f"{count} in {name}" for name, count in messages.items() if count]
    other = [f"{name} is there" for name in messages.keys() - ours - {QUEUE}]
    missing = [f"{name} is not there" for name in ours - messages.keys()]
    return Finding("queues are as declared and empty", len(messages), left + other + missing)


def _sweep(place: Place) -> None:
    """What a janitor does, now."""
    environment = place.environment | {"ORPHAN_GRACE_HOURS": "0", "STALE_UPLOAD_HOURS": "0"}
    command = [sys.executable, "-m", "services.janitor", "sweep"]
    subprocess.run(command, env=environment, cwd=REPOSITORY, check=True, capture_output=True)
