"""Messages that were given up."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from aio_pika import Message
from aio_pika.abc import AbstractIncomingMessage

from common import ids, topology
from common.archives import Cut, Wanted
from common.broker import Broker, settle
from common.cleanup import Report
from common.database import Pool
from common.due import Due
from common.envelope import Event, to_message
from common.ids import EventId
from common.jobs import removal, store, upkeep
from common.jobs.job import Job, Status, Upload
from common.topology import Queue
from services.janitor.duties.dead_letters import DeadLetters, read, record
from services.janitor.sweeper import Sweeper
from services.notifier.intake import Intake
from tests.jobs import LOST, Announced, announced, claimed, finished, forget_events, queued, reread
from tests.running import wait_until

DAY = timedelta(days=1)


async def sweep(sweeper: Sweeper, broker: Broker, *, retention: timedelta = DAY, dry_run: bool = False) -> Report:
    report = await sweeper.sweep(DeadLetters(broker, retention), dry_run=dry_run)
    assert report is not None
    assert report.error is None, report.error
    return report


async def dead(broker: Broker, queue: Queue, count: int) -> None:
    async def there() -> bool:
        return await broker.ready(Queue(queue.dead, ())) == count

    await wait_until(there, "the dead letters")


@asynccontextmanager
async def published(broker: Broker, queue: Queue, *messages: Message) -> AsyncIterator[list[AbstractIncomingMessage]]:
    """The messages in the hands of a consumer of the queue."""
    async with await broker.channel() as channel:
        exchange = await channel.get_exchange(topology.EXCHANGE, ensure=False)
        for message in messages:
            await exchange.publish(message, queue.bindings[0])
        source = await channel.get_queue(queue.name, ensure=False)
        yield [found for _ in messages if (found := await source.get(timeout=60)) is not None]


async def reject(broker: Broker, queue: Queue, *messages: Message) -> None:
    async with published(broker, queue, *messages) as found:
        for message in found:
            await settle(message, poison=True)
    await dead(broker, queue, len(messages))


async def exhaust(broker: Broker, queue: Queue, message: Message) -> None:
    """Let consumers die on it until the broker gives it up."""
    async with published(broker, queue, message):
        pass

    async def died() -> bool:
        """There may be nothing to take yet: what a consumer leaves behind comes back in its own time."""
        async with await broker.channel() as channel:
            return await (await channel.get_queue(queue.name, ensure=False)).get(fail=False, timeout=60) is not None

    async def given_up() -> bool:
        while await died():
            pass
        return await broker.ready(Queue(queue.dead, ())) == 1

    await wait_until(given_up, "the broker to give it up")


def token(job: Job) -> Message:
    return message("job.created", job.id, job.created_at)


def message(kind: str, subject: UUID, time: datetime) -> Message:
    event = Event(id=EventId(ids.new()), type=kind, source="/", subject=str(subject), time=time, data=b"{}")
    return to_message(event, trace=None)


async def letters(pool: Pool) -> list[tuple[str, str, bytes]]:
    return [(row["queue"], row["reason"], row["body"]) for row in await pool.fetch("select * from dead_letters order by body")]


async def test_they_are_recorded_and_kept_for_a_while(pool: Pool, broker: Broker, sweeper: Sweeper) -> None:
    """Whatever is in them; once, if a janitor dies between the record and the ack; until they are too old. A dry run leaves them."""
    queue = topology.NOTIFIER_EVENTS
    odd = Message(b"\0b", headers={"a": "\0", "n": {"m": [1, "\0\\\0"]}, "e": r"\u0000\\u0000", "ce-subject": "no job"}, type="x")
    await reject(broker, queue, Message(b"a"), odd)
    assert (await sweep(sweeper, broker, dry_run=True)).scanned == 2
    assert await letters(pool) == []
    before = [(queue.name, "rejected", b"\0b"), (queue.name, "rejected", b"a")]
    await record_and_die(pool, broker, queue)
    await dead(broker, queue, 2)
    report = await sweep(sweeper, broker)
    assert (report.swept, report.failed) == (2, 0)
    assert await letters(pool) == before
    headers = await pool.fetchval("select headers from dead_letters where event_type = 'x'")
    assert {name: headers[name] for name in "ane"} == {"a": "", "n": {"m": [1, "\\"]}, "e": r"\u0000\\u0000"}
    assert await broker.ready(Queue(queue.dead, ())) == 0
    assert (await sweep(sweeper, broker)).swept == 0
    assert (await sweep(sweeper, broker, retention=timedelta(0))).swept == 2
    assert await letters(pool) == []


class Undecodable(str):
    """A name that is no text when it comes out at the other end."""

    __slots__ = ()

    def encode(self, _encoding: str = "", _errors: str = "") -> bytes:
        return b"\xff"


async def test_what_cannot_be_taken_from_the_broker_holds_up_no_other_queue(
    pool: Pool, broker: Broker, sweeper: Sweeper, amqp_url: str
) -> None:
    """A message that breaks every connection by which it comes stays, and the sweep says why; what came before it is recorded."""
    broken = [Message(b"a"), Message(b"b", headers={Undecodable("x"): 1})]
    async with Broker(amqp_url, name="another") as another, await another.channel() as channel:
        for message in broken:
            await channel.default_exchange.publish(message, topology.NOTIFIER_EVENTS.dead)
        await channel.default_exchange.publish(Message(b"c"), topology.TRANSCRIBER_JOBS.dead)
    report = await sweeper.sweep(DeadLetters(broker, DAY))
    assert report is not None
    assert "unmarshal" in (report.error or "")
    assert [body for _, _, body in await letters(pool)] == [b"a", b"c"]
    await dead(broker, topology.NOTIFIER_EVENTS, 1)


async def record_and_die(pool: Pool, broker: Broker, queue: Queue) -> None:
    """What a janitor has done that is killed before it acks."""
    async with pool.acquire() as connection, aclosing(broker.waiting(Queue(queue.dead, ()), 10)) as batches:
        async for messages in batches:
            await record(connection, [read(message) for message in messages])
            return


async def test_a_job_that_takes_its_workers_down_fails(pool: Pool, broker: Broker, sweeper: Sweeper) -> None:
    """Once its token is given up and no worker has it; until then it is given time. Its owner is told."""
    async with pool.acquire() as connection:
        await queued(connection, max_attempts=99)
        job = await claimed(connection, lease=LOST)
        await exhaust(broker, topology.TRANSCRIBER_JOBS, token(job))
        await sweep(sweeper, broker)
        assert (await reread(connection, job)).status is Status.PROCESSING
        await upkeep.rescue(connection, limit=1)
        await forget_events(connection)
        await sweep(sweeper, broker)
        failed = await reread(connection, job)
        assert failed.status is Status.FAILED
        assert failed.error is not None
        assert (failed.error.code, failed.error.retryable) == ("workers_lost", False)
        assert await announced(connection) == [Announced("job.failed", str(job.id))]


async def test_an_innocent_job_is_left_alone(pool: Pool, broker: Broker, sweeper: Sweeper) -> None:
    """A token is not tied to the job it names: one that has lost no worker does not fail for it, nor one whose token made no sense."""
    async with pool.acquire() as connection:
        job = await queued(connection)
        await exhaust(broker, topology.TRANSCRIBER_JOBS, token(job))
        await sweep(sweeper, broker)
        assert await reread(connection, job) == job
        lost = await claimed(connection, lease=LOST)
        await upkeep.rescue(connection, limit=1)
        await reject(broker, topology.TRANSCRIBER_JOBS, token(lost))
        await sweep(sweeper, broker)
        assert (await reread(connection, job)).status is Status.QUEUED
    assert [reason for _, reason, _ in await letters(pool)] == ["delivery_limit", "rejected"]


async def test_what_is_in_them_goes_with_their_job(pool: Pool, broker: Broker, sweeper: Sweeper) -> None:
    """However it goes, and when: that there was one is kept, and no more, also of what is recorded only afterwards; others stay whole."""
    queue = topology.TRANSCRIBER_JOBS
    async with pool.acquire() as connection:
        kept, deleted, purged, late = [await queued(connection) for _ in range(4)]
        for job in (deleted, purged, late):
            await store.cancel(connection, job.id, job.tenant)
        await reject(broker, queue, *(token(job) for job in (kept, deleted, purged)))
        await sweep(sweeper, broker)
        assert await about(pool) == {kept.id: True, deleted.id: True, purged.id: True}
        for job in (deleted, late):
            await removal.delete(connection, job.id, job.tenant)
        await connection.execute("update jobs set status = 'expired', expired_at = now() where id = $1", purged.id)
        await removal.purge(connection, older_than=timedelta(0), after=None, limit=1)
        assert await about(pool) == {kept.id: True, None: False}
        request = ids.new()
        await reject(broker, queue, token(late), message("cleanup.requested", request, kept.created_at))
        await sweep(sweeper, broker)
    assert await about(pool) == {kept.id: True, None: False, request: True}
    told = await pool.fetch("select queue, reason, event_type from dead_letters where job_id is null")
    assert [tuple(row) for row in told] == [(queue.name, "rejected", "job.created")] * 3


async def about(pool: Pool) -> dict[UUID | None, bool]:
    """The jobs that they name, and whether anything is left of what was in them."""
    rows = await pool.fetch("select job_id, body <> '' or headers <> '{}' as whole from dead_letters")
    return {row["job_id"]: row["whole"] for row in rows}


async def test_what_breaks_whoever_makes_it_fails(pool: Pool, broker: Broker, sweeper: Sweeper) -> None:
    """An attempt at a delivery, or an archive, that is given up is not announced again; an upload's job says so.

    A letter that names what cannot be is in nobody's way.
    """
    async with pool.acquire() as connection:
        await queued(connection, webhook_url="https://example.com/hook")
        job = await finished(connection, await claimed(connection))
        await Intake(pool).handle(
            Event(id=EventId(ids.new()), type="job.completed", source="/", subject=str(job.id), time=job.created_at, data=b"{}")
        )
        delivery_id = await connection.fetchval("update deliveries set kind = 'upload' returning id")
        wanted = Wanted(job.id, Cut())
        await connection.execute("insert into archive_requests (job_id, variant) values ($1, $2)", job.id, wanted.cut.variant)
        dues = [Message(msgspec.json.encode(Due(delivery_id, attempt))) for attempt in (2**40, 1)]
        await reject(broker, topology.NOTIFIER_DELIVERIES, *dues)
        await reject(broker, topology.TRANSCRIBER_ARCHIVES, Message(msgspec.json.encode(wanted)))
        await sweep(sweeper, broker)
        at = await connection.fetchval("select finished_at from deliveries where state = 'failed'")
        assert (await reread(connection, job)).upload == Upload(state="failed", code="undeliverable", at=at)
        assert (await connection.fetchval("select error from archive_requests"))["code"] == "archive_failed"
