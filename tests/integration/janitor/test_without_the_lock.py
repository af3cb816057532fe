"""Two janitors that both believe to have the lock of a duty, as after a lost connection: what is to be done is done, and harms nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import pytest
from aio_pika import Message

from common import topology
from common.broker import Broker
from common.database import Connection, Pool
from common.errors import Refused
from common.ids import JobId, new
from common.storage import Object, Storage
from common.storage_keys import RESULTS, source_key
from services.janitor.duties.audio import Audio
from services.janitor.duties.dead_letters import DeadLetters
from services.janitor.duties.expired_uploads import ExpiredUploads
from services.janitor.duties.lost import Lost
from services.janitor.duties.orphans import Orphans
from services.janitor.duties.uploads import Uploads
from services.janitor.duty import Duty, Sweep
from tests.integration.janitor.test_bucket_duties import ANY_AGE, keys, put
from tests.integration.janitor.test_dead_letters import DAY, letters, reject
from tests.integration.janitor.test_expired_uploads import begun, open_uploads
from tests.jobs import HOUR, finished_with_bytes

COUNT = 8


async def over(connection: Connection, storage: Storage) -> set[str]:
    """Jobs whose recordings are due; what must be left in the bucket."""
    jobs = [await finished_with_bytes(connection, storage) for _ in range(COUNT)]
    await connection.execute("update jobs set finished_at = now() - interval '2 hours'")
    return {key for job in jobs for key in job.keys} - {job.source_key for job in jobs}


async def robbed(connection: Connection, storage: Storage) -> set[str]:
    """Jobs whose results are gone."""
    jobs = [await finished_with_bytes(connection, storage) for _ in range(COUNT)]
    await storage.delete_prefix(RESULTS)
    return {job.source_key for job in jobs}


async def ownerless(connection: Connection, storage: Storage) -> set[str]:
    """Recordings without a job beside those of one that has them."""
    owned = await finished_with_bytes(connection, storage)
    await put(storage, *(source_key(JobId(new())) for _ in range(COUNT)))
    return {*owned.keys}


async def unended(_connection: Connection, storage: Storage) -> set[str]:
    """Multipart uploads without a row."""
    for _ in range(COUNT):
        await storage.multipart.begin(source_key(JobId(new())))
    return set()


async def late(connection: Connection, storage: Storage) -> set[str]:
    """Uploads over several requests that are past their time."""
    for _ in range(COUNT):
        await begun(connection, storage)
    await connection.execute("update uploads set expires_at = now()")
    return set()


class Shared(Storage):
    """A bucket before which its user waits, once, until another does: both have read what is to be done."""

    def __init__(self, storage: Storage, meeting: asyncio.Barrier) -> None:
        super().__init__(storage._client, storage.bucket)
        self._meeting = meeting
        self._met = False

    async def page(self, prefix: str, *, after: str, size: int) -> tuple[list[Object], bool]:
        await self._meet()
        return await super().page(prefix, after=after, size=size)

    async def delete_each(self, keys: Iterable[str]) -> dict[str, Refused]:
        await self._meet()
        return await super().delete_each(keys)

    async def abort_upload(self, key: str, upload_id: str) -> None:
        await self._meet()
        await super().abort_upload(key, upload_id)

    async def _meet(self) -> None:
        if not self._met:
            self._met = True
            await self._meeting.wait()


Prepare = Callable[[Connection, Storage], Awaitable[set[str]]]
CASES: dict[str, tuple[Prepare, Callable[[Storage], Duty], int]] = {
    # The last: how often one thing may count. Rows count once; that an object is gone already is no failure, so both may have deleted it.
    "audio": (over, lambda storage: Audio(storage, HOUR), 1),
    "lost": (robbed, Lost, 1),
    "orphans": (ownerless, lambda storage: Orphans(storage, ANY_AGE), 2),
    "uploads": (unended, lambda storage: Uploads(storage, ANY_AGE), 2),
    "expired_uploads": (late, ExpiredUploads, 1),
}


async def at_once(pool: Pool, *duties: Duty) -> int:
    """How many things their sweeps have dealt with, all at once; none fails."""

    async def work(duty: Duty) -> int:
        async with pool.acquire() as connection:
            now = await connection.fetchval("select now()")
            return sum([counts.swept async for counts in duty.batches(Sweep(connection, now, dry_run=False))])

    async with asyncio.timeout(120):
        return sum(await asyncio.gather(*map(work, duties)))


@pytest.mark.parametrize("name", CASES)
async def test_each_thing_is_dealt_with(pool: Pool, storage: Storage, name: str) -> None:
    """Once by its row; nothing is left to a third sweep, and nothing is gone that somebody owns."""
    prepare, make, times = CASES[name]
    async with pool.acquire() as connection:
        left = await prepare(connection, storage)
    meeting = asyncio.Barrier(2)
    swept = await at_once(pool, make(Shared(storage, meeting)), make(Shared(storage, meeting)))
    assert COUNT <= swept <= COUNT * times
    assert await keys(storage) == left
    assert await open_uploads(storage) == 0
    assert await at_once(pool, make(storage)) == 0


async def test_each_dead_letter_is_recorded_once(pool: Pool, broker: Broker) -> None:
    """Whoever has it in hand acks it."""
    await reject(broker, topology.NOTIFIER_EVENTS, *(Message(str(number).encode()) for number in range(COUNT)))
    assert await at_once(pool, DeadLetters(broker, DAY), DeadLetters(broker, DAY)) == COUNT
    assert [body for _, _, body in await letters(pool)] == [str(number).encode() for number in range(COUNT)]
    assert await broker.ready(topology.Queue(topology.NOTIFIER_EVENTS.dead, ())) == 0
