"""Jobs for tests, brought to where a test wants them by the same transitions that the services make."""

import hashlib
from datetime import timedelta

import msgspec

from common import ids
from common.database import Connection
from common.ids import JobId, LeaseToken
from common.jobs import store
from common.jobs.job import Failure, Job, Result, Source, Stored
from common.jobs.kind import Kind
from common.jobs.options import Options, Priority, Sensitive
from common.references.lines import Line
from common.storage import Storage
from common.storage_keys import source_key, transcript_key

HOUR = timedelta(hours=1)
LOST = timedelta(seconds=-1)  # a lease that has run out when it is given
BROKEN = Failure("engine_broke", "The engine broke.", retryable=True)

TRANSCRIPT = Stored(2, hashlib.sha256(b"{}").hexdigest())
_SOURCE = Source(filename="talk.wav", content_type="audio/wav", size=4, sha256="00" * 32, kind="audio")


class Announced(msgspec.Struct, frozen=True):
    """An event in the outbox: its type and the job it is about."""

    type: str
    subject: str


async def queued(
    connection: Connection,
    *,
    tenant: str = "default",
    priority: Priority = "normal",
    retention: timedelta = HOUR,
    max_attempts: int = 3,
    trace: str | None = None,
    duration: float | None = None,
    reference: tuple[Line, ...] = (),
    redact: tuple[Sensitive, ...] = (),
    webhook_url: str | None = None,
) -> Job:
    """A new job, with its token in the outbox."""
    return await store.create(
        connection,
        job_id=JobId(ids.new()),
        tenant=tenant,
        options=Options(priority=priority, reference=reference, redact=redact, webhook_url=webhook_url),
        source=msgspec.structs.replace(_SOURCE, duration=duration),
        retention=retention,
        max_attempts=max_attempts,
        trace=trace,
    )


async def claimed(connection: Connection, lease: timedelta = HOUR, *, worker: str = "test") -> Job:
    """The best job there is, leased."""
    job = await store.claim(connection, LeaseToken(ids.new()), lease=lease, worker=worker)
    assert job is not None
    return job


async def finished(connection: Connection, job: Job, kind: Kind | None = None) -> Job:
    """A claimed job, completed with a transcript where its attempt would put it."""
    assert job.lease_token is not None
    result = Result(
        bucket="bucket",
        keys={"transcript": transcript_key(job.id, job.lease_token)},
        objects={"transcript": TRANSCRIPT},
        language="en",
        duration=1.0,
        speakers=1,
    )
    done = await store.finish(connection, job, result, kind)
    assert done is not None
    return done


async def finished_with_bytes(
    connection: Connection, storage: Storage, *, retention: timedelta = HOUR, webhook_url: str | None = None
) -> Job:
    """A completed job whose recording and transcript are in the bucket."""
    job = await queued(connection, retention=retention, webhook_url=webhook_url)
    await storage.put(source_key(job.id), b"RIFF", content_type="audio/wav")
    job = await claimed(connection)
    assert job.lease_token is not None
    await storage.put(transcript_key(job.id, job.lease_token), b"{}", content_type="application/json")
    return await finished(connection, job)


async def reread(connection: Connection, job: Job) -> Job:
    """The job as it is now."""
    found = await store.get(connection, job.id, job.tenant)
    assert found is not None
    return found


async def announced(connection: Connection) -> list[Announced]:
    """What is in the outbox, oldest first."""
    return [Announced(row["type"], row["subject"]) for row in await connection.fetch("select type, subject from outbox order by id")]


async def forget_events(connection: Connection) -> None:
    """Empty the outbox, as a relay would."""
    await connection.execute("delete from outbox")
