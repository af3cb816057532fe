"""LISTEN outlives its connection."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from common import listener
from common.database import Pool


@pytest.fixture
async def heard(database_url: str) -> AsyncIterator[asyncio.Queue[str]]:
    """Payloads as they come in on the channel `news`."""
    payloads: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(listener.listen(database_url, {"news": payloads.put_nowait}), name="listener")
    yield payloads
    task.cancel()
    await asyncio.wait({task})


async def test_notifications_reach_their_handler(pool: Pool, heard: asyncio.Queue[str]) -> None:
    """After an empty call for what was missed before, each payload comes as it was sent."""
    async with asyncio.timeout(60):
        assert await heard.get() == ""
        await pool.execute("select pg_notify('news', 'first'), pg_notify('other', 'no')")
        assert await heard.get() == "first"


async def test_a_lost_connection_is_opened_again(pool: Pool, heard: asyncio.Queue[str]) -> None:
    """The handler is told that something may have been missed, and hears what comes after."""
    async with asyncio.timeout(60):
        assert await heard.get() == ""
        ours = "application_name = 'verbatim-listen' and datname = current_database()"
        await pool.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where {ours}")  # noqa: S608 - our own words
        assert await heard.get() == ""
        await pool.execute("select pg_notify('news', 'after')")
        assert await heard.get() == "after"
