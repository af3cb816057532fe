"""A receiver, jobs that want to tell it something, and ways to look at what became of that."""

import asyncio
import base64
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import msgspec
import pytest

from common import ids
from common.database import Pool
from common.envelope import Event
from common.ids import EventId, JobId
from common.jobs import store
from common.jobs.job import Job, Source
from common.jobs.options import Options
from common.storage import Storage
from services.notifier.attempts import Attempts
from services.notifier.bodies import Bodies
from services.notifier.deliveries import Bounds
from services.notifier.intake import Intake
from services.notifier.outgoing import Outgoing, opened
from services.notifier.schedule import Schedule
from services.notifier.signature import Signer
from services.notifier.uploads import Uploads
from services.notifier.webhooks import Webhooks
from tests.integration.notifier.receiver import Receiver, receiving
from tests.jobs import claimed, finished
from tests.running import wait_until

Complete = Callable[[str], Awaitable[Job]]

_SOURCE = Source(filename="talk.wav", content_type="audio/wav", size=4, sha256="00" * 32, kind="audio")


class Tried(msgspec.Struct, frozen=True):
    """An attempt that was recorded."""

    status: int | None
    answer: str | None
    error: str | None


class Delivery(msgspec.Struct, frozen=True):
    """A delivery as it stands."""

    state: str
    attempt: int
    tried: list[Tried]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """It accepts everything unless told otherwise."""
    async with receiving() as started:
        yield started


LIMIT = timedelta(seconds=60)
PATIENT = Schedule((timedelta(hours=1),) * 9)
"""What failed is not due again by itself, however long the test takes."""

SECRET = "whsec_" + base64.b64encode(b"x" * 32).decode()


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    """Requests, also to loopback."""
    async with opened(limit=LIMIT, allowed=(ip_network("127.0.0.0/8"),)) as made:
        yield made


class Notifier:
    """The notifier's two handlers in this process, and the outbox between them."""

    def __init__(
        self,
        pool: Pool,
        outgoing: Outgoing,
        storage: Storage,
        *,
        schedule: Schedule,
        width: int = 4,
        places: int = 256,
        most_bytes: int = 2**20,
    ) -> None:
        bodies = Bodies(pool=pool, storage=storage, most_bytes=most_bytes, patience=LIMIT)
        self.stopping = asyncio.Event()
        self._pool = pool
        self._intake = Intake(pool)
        self.attempts = Attempts(
            pool=pool,
            ways={
                "webhook": Webhooks(outgoing=outgoing, bodies=bodies, signer=Signer([SECRET]), schedule=schedule),
                "upload": Uploads(outgoing=outgoing, pool=pool, storage=storage, schedule=schedule),
            },
            bounds=Bounds(webhook=2 * LIMIT, upload=2 * LIMIT, width=width, places=places),
            stopping=self.stopping,
        )

    async def take_in(self, job: Job, kind: str = "job.completed", data: bytes = b'{"id":"x"}') -> None:
        """What the job's event leads to."""
        await self._intake.handle(event(kind, job, data))

    async def due(self) -> list[Event]:
        """What has fallen due for attempts, taken from the outbox as a relay would."""
        rows = await self._pool.fetch("delete from outbox where type = 'delivery.due' and available_at <= now() returning subject, body")
        return [
            Event(id=EventId(ids.new()), type="delivery.due", source="/verbatim", subject=row["subject"], time=NOW, data=row["body"])
            for row in rows
        ]

    async def run(self, *others: "Notifier") -> None:
        """Make all attempts that are due, and those that fall due by them, each as soon as it does; in turn with others."""
        turns = itertools.cycle([self, *others])
        running: set[asyncio.Task[None]] = set()
        while True:
            running |= {asyncio.create_task(next(turns).attempts.handle(due)) for due in await self.due()}
            if not running:
                return
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()


NOW = datetime(2026, 3, 2, tzinfo=UTC)


def event(kind: str, job: Job, data: bytes) -> Event:
    """One of the job's."""
    return Event(id=EventId(ids.new()), type=kind, source="/verbatim", subject=str(job.id), time=datetime.now(UTC), data=data)


@pytest.fixture
def notifier(pool: Pool, outgoing: Outgoing, storage: Storage) -> Notifier:
    """On this test's database and bucket."""
    return Notifier(pool, outgoing, storage, schedule=PATIENT)


async def wanting(connection: Any, url: str | None, *, retention: timedelta = timedelta(hours=1), **options: Any) -> Job:
    """A queued job that calls `url` when it is over."""
    return await store.create(
        connection,
        job_id=JobId(ids.new()),
        tenant="default",
        options=Options(webhook_url=url, **options),
        source=_SOURCE,
        retention=retention,
        max_attempts=1,
        trace=None,
    )


@pytest.fixture
def complete(pool: Pool) -> Complete:
    """Makes a job that calls a URL, and completes it."""

    async def make(url: str) -> Job:
        async with pool.acquire() as connection:
            await wanting(connection, url)
            return await finished(connection, await claimed(connection))

    return make


async def delivery(pool: Pool, job: Job) -> Delivery | None:
    """The job's delivery, if there is one."""
    row = await pool.fetchrow("select id, state, attempt from deliveries where job_id = $1", job.id)
    if row is None:
        return None
    tried = await pool.fetch("select status, answer, error from delivery_attempts where delivery_id = $1 order by attempt", row["id"])
    return Delivery(row["state"], row["attempt"], [Tried(**dict(attempt)) for attempt in tried])


async def delivery_in(pool: Pool, job: Job, state: str, *, attempt: int | None = None) -> Delivery:
    """The job's delivery, once it is in `state` (and so many attempts were made)."""

    async def there() -> bool:
        found = await delivery(pool, job)
        return found is not None and found.state == state and attempt in (None, found.attempt)

    await wait_until(there, f"the delivery to be {state}")
    found = await delivery(pool, job)
    assert found is not None
    return found


async def due_now(pool: Pool) -> None:
    """Let the time come that everything waits for: whatever is scheduled falls due."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("update deliveries set due_at = now() where state = 'pending'")
        await connection.execute("update outbox set available_at = now()")
        await connection.execute("notify outbox")
