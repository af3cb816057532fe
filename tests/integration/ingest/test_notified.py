"""What watchers see, they see as Postgres tells of it: here nobody polls."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from common.database import Pool
from common.jobs import state, store
from common.jobs.watch import CHANNEL, PROGRESS_CHANNEL
from common.listener import listen
from services.ingest.auth import create_key
from services.ingest.feeds import Feeds, News
from services.ingest.sessions import CHANNEL as SESSIONS
from services.ingest.sessions import Sessions
from services.ingest.watching import unseen
from tests.jobs import HOUR, claimed, finished, queued

NEVER = 3_600.0


@pytest.fixture
def feeds() -> Feeds:
    return Feeds(poll=NEVER)


@pytest.fixture
def sessions(feeds: Feeds) -> Sessions:
    return Sessions(feeds.wake, poll=NEVER)


@asynccontextmanager
async def told(database_url: str, pool: Pool, feeds: Feeds, sessions: Sessions) -> AsyncIterator[None]:
    """While the block runs they hear of what happens; as in the service, but for polls."""
    stopping = asyncio.Event()
    handlers = {CHANNEL: feeds.notify, PROGRESS_CHANNEL: feeds.notify, SESSIONS: sessions.notify}
    listening = asyncio.create_task(listen(database_url, handlers))
    readers = [asyncio.create_task(one.run(pool, stopping)) for one in (feeds, sessions)]
    try:
        async with asyncio.timeout(60):
            yield
    finally:
        stopping.set()
        listening.cancel()
        await asyncio.gather(listening, *readers, return_exceptions=True)


async def test_changes_of_jobs(database_url: str, pool: Pool, feeds: Feeds, sessions: Sessions) -> None:
    """Each of thirty watchers of one job gets its progress and its end."""
    async with pool.acquire() as connection:
        await queued(connection)
        job = await claimed(connection)
        known = await state.read(connection, job.id, job.tenant)
    assert known is not None
    begun, moved = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def until_final() -> None:
        async with aclosing(unseen(feeds, known, job.tenant, None, asyncio.Event())) as following:
            async for _, news in following:
                if not isinstance(news, News):
                    continue
                (moved if news.change.progress else begun).release()
                if news.change.final:
                    return

    async with told(database_url, pool, feeds, sessions), asyncio.TaskGroup() as watchers:
        for _ in range(30):
            watchers.create_task(until_final())
        for _ in range(30):
            await begun.acquire()
        async with pool.acquire() as connection:
            assert await store.renew(connection, job, lease=HOUR, stage="vad", progress=10)
        for _ in range(30):
            await moved.acquire()
        async with pool.acquire() as connection:
            await finished(connection, job)


async def test_the_end_of_a_key(database_url: str, pool: Pool, feeds: Feeds, sessions: Sessions) -> None:
    """Revoking it ends what it has opened, after the first look has ended what another had that was revoked before."""
    async with pool.acquire() as connection:
        for name in ("before", "after"):
            await create_key(connection, tenant="a", name=name, scopes=("read",))
        await connection.execute("update api_keys set revoked_at = now() where name = 'before'")
        before, after = [row["id"] for row in await connection.fetch("select id from api_keys order by name desc")]
    with sessions.opened(before) as first, sessions.opened(after) as over:
        async with told(database_url, pool, feeds, sessions):
            await first.wait()
            assert not over.is_set()
            await pool.execute("update api_keys set revoked_at = now() where name = 'after'")
            await over.wait()
