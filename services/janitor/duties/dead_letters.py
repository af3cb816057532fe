"""Messages that were given up: recorded, kept for a while for a person to look at, and what they tell of is failed.

A message is acked only when its record is committed, and the record is named after the message, so one that comes twice is kept once.
Whatever is in a message, it can be recorded: one that could not be would come back at every sweep, and with it those beside it.

What fails depends on what the message was. An attempt at a delivery or an archive breaks whoever makes it, so that one thing fails. A token
is not tied to the job that it names: who took it had claimed the best job there was. The job in it fails only if it has itself lost a
worker; any other is innocent, and gets a new token from the reissue.

Of a letter about a job that is gone nothing is kept but that there was one (`removal` sees to those that are recorded by then).
"""

import hashlib
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import structlog
from aio_pika.abc import AbstractIncomingMessage

from common import archives, topology
from common.archives import Wanted
from common.broker import LOST, Broker, settle
from common.database import Connection, Queries
from common.due import Due
from common.jobs import store, upkeep
from common.jobs.job import Failure, Upload
from services.janitor.duty import Counts, Sweep

SQL = Queries(Path(__file__).with_name("dead_letters.sql"))

_BATCH = 100
_DEATHS = "x-death"
_ESCAPES = re.compile(rb"\\(?:u0000|.)", re.DOTALL)
"""Of JSON: from left to right, a backslash that is itself escaped begins none."""

_POISONOUS = Failure(
    "workers_lost", "Workers stop responding when they have this job; it may be its recording that they cannot bear.", retryable=False
)
_UNDELIVERABLE = "undeliverable"
_UNMADE = Failure("archive_failed", "Making the archive broke every worker that tried.", retryable=False)

log = structlog.get_logger(__name__)


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter, as far as it can be read; `queue` gave it up at `died_at`, for the broker's `reason`."""

    id: UUID
    queue: str
    reason: str
    died_at: datetime | None
    job_id: UUID | None
    event_type: str | None
    headers: Any
    body: bytes


class DeadLetters:
    name = "dead_letters"

    def __init__(self, broker: Broker, retention: timedelta) -> None:
        self._broker = broker
        self._retention = retention

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        lost: Exception | None = None
        for name in sorted({queue.dead for queue in topology.QUEUES}):
            try:
                async with aclosing(self._drain(sweep, topology.Queue(name, ()))) as drained:
                    async for counts in drained:
                        yield counts
            except LOST as error:  # it may be a message of that queue that breaks every connection by which it comes
                lost = error
        await _judge(sweep)
        await sweep.connection.execute(SQL["forget_letters"])
        while True:
            old = await sweep.connection.fetch(SQL["old_letters"], self._retention, _BATCH)
            yield Counts(scanned=len(old), swept=len(old))
            if len(old) < _BATCH:
                break
        if lost is not None:
            raise lost

    async def _drain(self, sweep: Sweep, queue: topology.Queue) -> AsyncGenerator[Counts, None]:
        """Record what waits there. Where the connection breaks, once more and one by one: so what comes before the cause is not held up."""
        if sweep.dry_run:
            count = await self._broker.ready(queue)
            yield Counts(scanned=count, swept=count)
            return
        for size in (_BATCH, 1):
            try:
                async with aclosing(self._broker.waiting(queue, size)) as batches:
                    async for messages in batches:
                        letters = [read(message) for message in messages]
                        await record(sweep.connection, letters)
                        for message in messages:
                            await settle(message)
                        yield Counts(len(letters), swept=len(letters), late=sweep.late(letter.died_at for letter in letters))
            except LOST:
                if size == 1:
                    raise
            else:
                return


def read(message: AbstractIncomingMessage) -> Letter:
    """What is in it, whoever sent it: nothing of it has to make sense."""
    # Without what the broker counts of this queue: it would be another message each time that it is delivered.
    headers = {name: value for name, value in message.headers.items() if not name.startswith("x-") or name == _DEATHS}
    died = _death(headers)
    text = _ESCAPES.sub(_kept, msgspec.json.encode(headers, enc_hook=str))
    identity = hashlib.sha256(b"\0".join((text, message.body, str(message.message_id).encode())))
    when = died.get("time")
    return Letter(
        id=UUID(bytes=identity.digest()[:16]),
        queue=_text(died.get("queue", message.routing_key)),
        reason=_text(died.get("reason", "unknown")),
        died_at=when if isinstance(when, datetime) and when.tzinfo is not None else None,
        job_id=_uuid(headers.get("ce-subject")),
        event_type=None if message.type is None else _text(message.type),
        headers=msgspec.json.decode(text),
        body=message.body,
    )


def _death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """The broker's own note of the latest death."""
    deaths = headers.get(_DEATHS)
    return deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}


def _kept(escape: re.Match[bytes]) -> bytes:
    """All but NUL, which Postgres does not keep."""
    return b"" if escape[0] == b"\\u0000" else escape[0]


def _text(value: object) -> str:
    """As Postgres keeps it."""
    return str(value).replace("\0", "")


def _uuid(text: object) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None


async def record(connection: Connection, letters: Sequence[Letter]) -> None:
    """Keep them, and fail what is told by the message alone."""
    columns = zip(
        *((each.id, each.queue, each.reason, each.job_id, each.event_type, each.headers, each.body) for each in letters), strict=True
    )
    async with connection.transaction():
        await connection.execute(SQL["record_letters"], *(list(column) for column in columns))
        for letter in letters:
            log.error("dead letter", queue=letter.queue, reason=letter.reason, event_type=letter.event_type, job_id=str(letter.job_id))
            await _fail_named(connection, letter)


async def _fail_named(connection: Connection, letter: Letter) -> None:
    """In a transaction of its own: a letter may name what Postgres cannot even look for, such as an attempt beyond all numbers."""
    try:
        async with connection.transaction():
            if letter.queue == topology.NOTIFIER_DELIVERIES.name:
                due = msgspec.json.decode(letter.body, type=Due)
                await _fail_delivery(connection, due)
            elif letter.queue == topology.TRANSCRIBER_ARCHIVES.name:
                await archives.fail(connection, msgspec.json.decode(letter.body, type=Wanted), _UNMADE)
    except (msgspec.DecodeError, asyncpg.DataError):
        log.info("dead letter names nothing", queue=letter.queue)


async def _fail_delivery(connection: Connection, due: Due) -> None:
    await connection.execute(SQL["lock_uploaded"], due.delivery_id)
    row = await connection.fetchrow(SQL["fail_undeliverable"], due.delivery_id, due.attempt, _UNDELIVERABLE)
    if row is not None and row["kind"] == "upload":
        await store.tell_upload(connection, row["job_id"], Upload(state="failed", code=_UNDELIVERABLE, at=row["finished_at"]))


async def _judge(sweep: Sweep) -> None:
    """Fail the jobs that are to blame, those of letters of earlier rounds included, which a worker had then."""
    async with sweep.connection.transaction():
        suspects = [row["job_id"] for row in await sweep.connection.fetch(SQL["suspects"])]
        failed = await upkeep.fail_poisonous(sweep.connection, suspects, _POISONOUS)
        await sweep.connection.execute(SQL["judge_letters"])
    for job in [] if sweep.dry_run else failed:
        log.error("job failed", job_id=str(job.id), code=_POISONOUS.code)
