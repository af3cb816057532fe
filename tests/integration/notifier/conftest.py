"""A receiver, jobs that want to tell it something, and ways to look at what became of that."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from common import ids
from common.database import Pool
from common.ids import JobId
from common.jobs import store
from common.jobs.job import Job, Source
from common.jobs.options import Options
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


async def wanting(connection: Any, url: str | None) -> Job:
    """A queued job that calls `url` when it is over."""
    return await store.create(
        connection,
        job_id=JobId(ids.new()),
        tenant="default",
        options=Options(webhook_url=url),
        source=_SOURCE,
        retention=timedelta(hours=1),
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
