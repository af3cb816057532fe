"""Events through the outbox: how fast one relay gets them confirmed, and what remains of them in table and indexes."""

import asyncio
import time
from typing import Any, NamedTuple

import aio_pika
import msgspec

from bench._load import pin
from bench._system import System
from common import ids, outbox, topology
from common.database import Connection, Pool
from common.ids import EventId
from common.outbox import News

_TRANSACTION = 10
_STATEMENT = 1_000
_WRITERS = 2
_BACKLOG = 2_000
_SAMPLES = 20
_WARM = 2_000
_POLL_SECONDS = 0.02
_STALLED_SECONDS = 120.0
_BODY = msgspec.json.encode({"id": "01990000-0000-7000-8000-000000000000", "status": "completed", "text": "x" * 700})
"""As long as a job's document is."""


class Kind(NamedTuple):
    """An event's type, and where it goes."""

    name: str
    told: str
    event_type: str


KINDS = (
    Kind("queued", "to a quorum queue", "job.completed"),
    Kind("heard_by_nobody", "to nobody", "job.deleted"),
)


class Rate(NamedTuple):
    """`busy`: the share of its core that the relay took."""

    per_second: float
    per_cpu_second: float
    busy: float


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of the outbox and its indexes, rows that are dead, and how often it was vacuumed, after `events` have gone through."""

    events: int
    table: int
    indexes: int
    dead: int
    vacuums: int
    dead_percent: float | None = None

    @property
    def bytes(self) -> int:
        return self.table + self.indexes


class Growth(NamedTuple):
    samples: list[Size]
    vacuumed: Size
    per_second: float

    @property
    def most_early(self) -> Size:
        return max(self.samples[: (len(self.samples) + 1) // 2], key=lambda sample: sample.bytes)

    @property
    def most_late(self) -> Size:
        return max(self.samples[(len(self.samples) + 1) // 2 :], key=lambda sample: sample.bytes)

    @property
    def ratio(self) -> float:
        return self.most_late.bytes / self.most_early.bytes

    @property
    def figures(self) -> dict[str, Any]:
        found = {"per_second": self.per_second, "ratio": self.ratio, "samples": self.samples, "vacuumed": self.vacuumed}
        return {name: msgspec.to_builtins(value) for name, value in found.items()}


async def rate(system: System, pool: Pool, relay: str, *, events: int, kind: Kind) -> Rate:
    """From the commit that makes them due until the last is confirmed and gone; the relay has one core, the servers the others."""
    process = system.process(relay)
    pin(process, 0)
    await _drained(pool, _WARM, kind)
    before = sum(process.cpu_times()[:2])
    seconds = await _drained(pool, events, kind)
    cpu = sum(process.cpu_times()[:2]) - before
    await _purge(system)
    return Rate(events / seconds, events / cpu, cpu / seconds)


async def grow(pool: Pool, events: int) -> Growth:
    """Add so many events, a few in each transaction, as fast as they are relayed, and look at the sizes on the way."""
    async with pool.acquire() as connection:
        exact = await _has_pgstattuple(connection)
        await connection.execute("vacuum (full, analyze) outbox", timeout=_STALLED_SECONDS)
        samples = [await _size(connection, 0, exact=exact)]
        began = time.perf_counter()
        for part in range(1, _SAMPLES + 1):
            count = events * part // _SAMPLES - samples[-1].events
            await asyncio.gather(*(_write(pool, count // _WRITERS + (number < count % _WRITERS)) for number in range(_WRITERS)))
            samples.append(await _size(connection, samples[-1].events + count, exact=exact))
        await _empty(pool)
        seconds = time.perf_counter() - began
        await connection.execute("vacuum outbox", timeout=_STALLED_SECONDS)
        vacuumed = await _size(connection, events, exact=exact)
    return Growth(samples, vacuumed, events / seconds)


async def _write(pool: Pool, count: int) -> None:
    async with pool.acquire() as connection:
        while count:
            some = min(count, _TRANSACTION)
            await outbox.add_many(connection, KINDS[-1].event_type, _news(some))
            count -= some
            while await outbox.backlog(connection, _BACKLOG) == _BACKLOG:  # noqa: ASYNC110 - another process relays
                await asyncio.sleep(_POLL_SECONDS)


async def _drained(pool: Pool, events: int, kind: Kind) -> float:
    """Seconds until they are relayed."""
    async with pool.acquire() as connection, connection.transaction():
        for start in range(0, events, _STATEMENT):
            await outbox.add_many(connection, kind.event_type, _news(min(_STATEMENT, events - start)))
    return await _empty(pool)


async def _empty(pool: Pool) -> float:
    began = time.perf_counter()
    while await pool.fetchval("select exists (select from outbox)"):
        assert time.perf_counter() - began < _STALLED_SECONDS, "the relay does not get on"
        await asyncio.sleep(_POLL_SECONDS)
    return time.perf_counter() - began


def _news(count: int) -> list[News]:
    return [News(EventId(ids.new()), "01990000-0000-7000-8000-000000000000", _BODY, None) for _ in range(count)]


async def _has_pgstattuple(connection: Connection) -> bool:
    if not await connection.fetchval("select count(*) from pg_available_extensions where name = 'pgstattuple'"):
        return False
    await connection.execute("create extension if not exists pgstattuple")
    return True


async def _size(connection: Connection, events: int, *, exact: bool) -> Size:
    row = await connection.fetchrow(
        "select pg_table_size('outbox') as table, pg_indexes_size('outbox') as indexes, n_dead_tup as dead, autovacuum_count as vacuums"
        " from pg_stat_user_tables where relname = 'outbox'"
    )
    assert row is not None
    dead = await connection.fetchval("select dead_tuple_percent from pgstattuple('outbox')") if exact else None
    return Size(events=events, **dict(row), dead_percent=dead)


async def _purge(system: System) -> None:
    """What was routed is for nobody here."""
    async with await aio_pika.connect(system.stack.amqp_url) as connection:
        channel = await connection.channel()
        for queue in topology.QUEUES:
            await (await channel.get_queue(queue.name)).purge()
