"""What must be so when everything has come to rest: told from what the clients, the receiver and the tap were told.

Postgres, bucket and queues are looked at only for what is left behind.
"""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable

import aio_pika
import asyncpg
import msgspec

from bench.chaos.client import FINAL, Clients, Tracked
from bench.chaos.place import Place
from bench.chaos.receiver import Receiver
from bench.chaos.tap import ENDS, Tap
from common import topology
from deploy.local.service import REPOSITORY
from tests import bucket

_POOL = 11
"""Connections of one service at the most: its pool, and its listener."""


class Finding(msgspec.Struct, frozen=True):
    """`wrong` are those that it is not so for; the first few are shown."""

    what: str
    looked_at: int
    wrong: list[str]


def of_jobs(jobs: list[Tracked]) -> Iterable[Finding]:
    """From the API's answers."""
    there = [job for job in jobs if not job.deleted]
    yield Finding("accepted submissions came to an end", len(there), [_told(job) for job in there if job.status not in FINAL])
    broken = [job for job in there if job.kind == "broken"]
    yield Finding("what cannot be done failed, and says why", len(broken), [_told(job) for job in broken if job.code != "broken_recording"])
    cancelled = [job for job in there if job.cancelled]
    yield Finding("what was cancelled stayed so", len(cancelled), [_told(job) for job in cancelled if job.status != "cancelled"])
    sound = [job for job in there if job.kind == "plain"]
    yield Finding("what can be done was completed", len(sound), [_told(job) for job in sound if job.status != "completed"])
    yield Finding(
        "transcripts are there, each of its own recording", sum(job.read for job in sound), [_told(job) for job in sound if not job.read]
    )
    due = [job for job in there if job.kind == "expire" and job.status not in {"failed", "cancelled"}]
    yield Finding("what was to expire has", len(due), [_told(job) for job in due if job.status != "expired"])


def of_events(jobs: list[Tracked], tap: Tap) -> Iterable[Finding]:
    """From what another system heard."""
    ends = {job.id: [each for each in tap.events[job.id].values() if each[0] in ENDS] for job in jobs}
    wrong = [f"{_told(job)}: {ends[job.id]}" for job in jobs if len(ends[job.id]) != 1]
    yield Finding("exactly one event tells of a job's end", len(jobs), wrong)
    kept = [job for job in jobs if not job.deleted and job.status in FINAL - {"expired"}]
    contradicted = [_told(job) for job in kept if [status for _, status in ends[job.id]] != [job.status]]
    yield Finding("and tells what the API tells", len(kept), contradicted)
    gone = [job for job in jobs if job.deleted]
    untold = [_told(job) for job in gone if not any(kind == "job.deleted" for kind, _ in tap.events[job.id].values())]
    yield Finding("what was deleted was announced as deleted", len(gone), untold)


def of_webhooks(jobs: list[Tracked], tap: Tap, receiver: Receiver) -> Iterable[Finding]:
    """Every job that is there and asked to be told was told, under its event's id."""
    due = [job for job in jobs if job.webhook and not job.deleted]
    missing = []
    for job in due:
        ends = {(event_id, kind) for event_id, (kind, _) in tap.events[job.id].items() if kind in ENDS}
        if not ends or not ends <= receiver.heard[job.tag]:
            missing.append(f"{_told(job)}: {ends} {receiver.heard[job.tag]}")
    yield Finding("webhooks that are due were received", len(due), missing)
    yield Finding("and every one was signed", receiver.requests.total(), receiver.invalid)


async def of_remains(place: Place, jobs: list[Tracked]) -> list[Finding]:
    """After a sweep without any grace: what nobody needs is gone, and what somebody does is there."""
    await asyncio.to_thread(_sweep, place)
    connection = await asyncpg.connect(place.stack.database_url)
    try:
        rows = {str(row["id"]): row["status"] for row in await connection.fetch("select id, status::text from jobs")}
        pending = [str(row["id"]) for row in await connection.fetch("select id from deliveries where state = 'pending'")]
        outbox = [row["type"] for row in await connection.fetch("select type from outbox")]
    finally:
        await connection.close()
    async with bucket.opened(place.environment) as store:
        keys = [found.key async for found in store.objects()]
        uploads = [found.key async for found in store.open_uploads()]
    gone = {job.id for job in jobs if job.deleted}
    over = gone | {job.id for job in jobs if job.status == "expired"}
    results = Counter(key.split("/")[1] for key in keys if key.startswith("results/"))
    unknown = [job_id for job_id in rows if job_id not in {job.id for job in jobs}]
    return [
        Finding("no row is left of deleted jobs", len(gone), sorted(gone & rows.keys())),
        Finding("no object is left of deleted and expired jobs", len(keys), [key for key in keys if key.split("/")[1] in over]),
        Finding("no object is left that nobody owns", len(keys), [key for key in keys if key.split("/")[1] not in rows] + uploads),
        Finding("a job has one result", len(results), [job_id for job_id, count in results.items() if count != 1]),
        Finding("no job was made that no client was told of", len(rows), unknown),
        Finding("no delivery and no event is left over", len(jobs), pending + outbox),
    ]


async def of_queues(place: Place) -> Finding:
    """Nothing waits, nothing was given up."""
    left = []
    names = [*(queue.name for queue in topology.QUEUES), *sorted({queue.dead for queue in topology.QUEUES})]
    async with await aio_pika.connect(place.stack.amqp_url, timeout=10) as connection:
        for name in names:
            channel = await connection.channel()
            declared = await channel.declare_queue(name, passive=True)
            left += [f"{declared.declaration_result.message_count} in {name}"] if declared.declaration_result.message_count else []
    return Finding("queues are empty, dead letters too", len(names), left)


async def of_leaks(place: Place, before: dict[str, int]) -> list[Finding]:
    """What processes hold now, against what they held before anything happened."""
    connection = await asyncpg.connect(place.stack.database_url)
    try:
        rows = await connection.fetch(
            "select application_name as name, count(*) from pg_stat_activity where datname is not null group by 1"
        )
    finally:
        await connection.close()
    held = {row["name"]: row["count"] for row in rows}
    most = {"verbatim-ingest": 2, "verbatim-transcriber": 2, "verbatim-notifier": 1, "verbatim-janitor": 1, "verbatim-listen": 6}
    allowed = {name: count * (1 if name == "verbatim-listen" else _POOL) for name, count in most.items()}
    now = handles(place)
    engines = place.children()
    folders = sorted(path.name for path in place.temporary.glob("verbatim-*"))
    left = sorted(str(path.relative_to(place.temporary)) for path in place.temporary.glob("verbatim-*/*/*"))
    return [
        Finding("no connection leaks", len(held), [f"{name}: {held[name]}" for name in allowed if held.get(name, 0) > allowed[name]]),
        Finding(
            "no file or socket leaks", len(now), [f"{name}: {before[name]} -> {now[name]}" for name in now if now[name] > before[name] + 20]
        ),
        Finding("no engine is left over", 2, [str(engine.pid) for engine in engines] if len(engines) != 2 else []),
        Finding("no recording is left on the disk", len(folders), left + (folders if len(folders) != 2 else [])),
    ]


async def idle(place: Place) -> bool:
    """Whether nothing is left to be worked on, published or delivered."""
    connection = await asyncpg.connect(place.stack.database_url)
    try:
        left = await connection.fetchval(
            "select (select count(*) from outbox) + (select count(*) from deliveries where state = 'pending')"
            " + (select count(*) from jobs where status in ('queued', 'processing'))"
        )
    finally:
        await connection.close()
    return not left


def handles(place: Place) -> dict[str, int]:
    """Open files and sockets of every service."""
    found = {}
    for name in place.services:
        process = place.process(name)
        found[name] = -1 if process is None else process.num_fds()
    return found


def _sweep(place: Place) -> None:
    """What a janitor does, now."""
    environment = place.environment | {"ORPHAN_GRACE_HOURS": "0", "STALE_UPLOAD_HOURS": "0"}
    command = [sys.executable, "-m", "services.janitor", "sweep"]
    subprocess.run(command, env=environment, cwd=REPOSITORY, check=True, capture_output=True)


def _told(job: Tracked) -> str:
    return f"{job.id} ({job.kind}, {job.status}{f', {job.code}' if job.code else ''})"


def of_answers(clients: Clients) -> Finding:
    """Whatever a client found strange on its way."""
    return Finding("no answer contradicted another", clients.requests, clients.wrong)
