"""A pool gets over connections that end in any way."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from urllib.parse import urlsplit

import asyncpg
import pytest

from common import database
from common.database import Connection, Pool
from tests.running import wait_until


class Tunnel:
    """Leads to Postgres and keeps its first hang-up to itself, as a network may that loses the last packet."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self.silent = False
        self.hung_up = asyncio.Event()

    def cut(self) -> None:
        """End every connection there is, without a word."""
        for writer in self._writers:
            writer.transport.abort()

    async def lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        with closing(writer), closing(back):
            self._writers.add(writer)
            replies = asyncio.create_task(self._pass_on(there, writer))
            while data := await reader.read(2**16):
                back.write(data)
            replies.cancel()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16):
            if not self.silent:
                writer.write(data)
        if self.hung_up.is_set():
            writer.close()
        self.hung_up.set()


@asynccontextmanager
async def tunnel(database_url: str) -> AsyncIterator[tuple[Tunnel, str]]:
    """One to the server of `database_url`, and the address of the same database through it."""
    url = urlsplit(database_url)
    assert url.hostname is not None
    assert url.port is not None
    opened = Tunnel(url.hostname, url.port)
    server = await asyncio.start_server(opened.lead, "127.0.0.1", 0)
    async with server:
        credentials, _, _ = url.netloc.rpartition("@")
        yield opened, url._replace(netloc=f"{credentials}@127.0.0.1:{server.sockets[0].getsockname()[1]}").geturl()


async def test_a_connection_that_was_told_of_its_end_counts_as_away(database_url: str, pool: Pool) -> None:
    """Between the server's last word and the close of the socket asyncpg fails in a way of its own; the next use has a new one."""
    async with tunnel(database_url) as (led, url), database.connect(url, name="test", max_size=1) as led_pool:
        backend = await led_pool.fetchval("select pg_backend_pid()")
        await pool.execute("select pg_terminate_backend($1)", backend)
        await led.hung_up.wait()
        for _ in range(10):
            await pool.fetchval("select 1")  # while they travel, the last word is read
        with pytest.raises(database.AWAY) as raised:
            await led_pool.fetchval("select 1")
        assert isinstance(raised.value, asyncpg.InternalClientError)
        assert await led_pool.fetchval("select 1") == 1


async def test_what_was_done_is_done_though_the_connection_breaks_afterwards(database_url: str, pool: Pool) -> None:
    """As it is given back: nobody is told that Postgres is away, and the next use has a new one."""
    async with database.connect(database_url, name="test", max_size=1) as breaking:
        for _ in range(2):
            async with breaking.acquire() as connection:
                backend = await connection.fetchval("select pg_backend_pid()")
                await breaks_when_given_back(connection)
        assert await breaking.fetchval("select pg_backend_pid()") != backend


async def breaks_when_given_back(connection: Connection) -> None:
    """What resets it ends it."""
    await connection.execute(
        "create or replace function public.pg_advisory_unlock_all() returns void language sql"
        " as 'select pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())'"
    )
    await connection.execute("set search_path = public, pg_catalog")


async def test_a_cancellation_comes_through_though_the_connection_breaks(database_url: str, pool: Pool) -> None:
    """However soon after it: whoever asks again when Postgres is away would never end, nor would whoever waits for that."""

    async def work(led_pool: Pool) -> None:
        with contextlib.suppress(*database.AWAY):
            async with led_pool.acquire() as connection, connection.transaction():
                await connection.execute("select pg_advisory_lock(1)")
        await asyncio.Event().wait()

    waiting = "locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())"

    async def waits() -> bool:
        return bool(await pool.fetchval(f"select count(*) from pg_locks where {waiting}"))  # noqa: S608 - our own words

    async with pool.acquire() as held:
        await held.execute("select pg_advisory_lock(1)")
        for turns in range(8):
            async with tunnel(database_url) as (led, url), database.connect(url, name="test", max_size=1) as led_pool:
                working = asyncio.create_task(work(led_pool))
                await wait_until(waits, "the statement to be under way", limit=60)
                working.cancel()
                for _ in range(turns):
                    await asyncio.sleep(0)
                led.cut()
                done, _ = await asyncio.wait({working}, timeout=60)
                assert done, f"lost at turn {turns}"
                await pool.execute(f"select pg_terminate_backend(pid, 20000) from pg_locks where {waiting}")  # noqa: S608 - our own words


async def test_a_server_that_says_nothing_is_not_waited_for(database_url: str) -> None:
    """By who is cancelled in the middle of a statement, and at the end: both would last as long as a statement may."""
    begun = asyncio.Event()

    async def work(led_pool: Pool) -> None:
        async with led_pool.acquire() as connection:
            begun.set()
            await connection.execute("select pg_sleep(60)")

    async def stop(url: str) -> None:
        async with database.connect(url, name="test", max_size=2) as led_pool:
            led_pool.letting_go = 0.1
            async with led_pool.acquire():
                working = asyncio.create_task(work(led_pool))
                await begun.wait()
            led.silent = True
            working.cancel()
            await asyncio.wait({working})

    async with tunnel(database_url) as (led, url):
        done, _ = await asyncio.wait({asyncio.create_task(stop(url))}, timeout=20)
        assert done


@pytest.mark.parametrize("code", ["25006", "25P03", "40001", "40P01", "53100", "53200", "53300", "58030"])
async def test_a_failure_that_is_not_for_what_was_asked_counts_as_away(pool: Pool, code: str) -> None:
    """A full disk, a deadlock, a server that is not the first any more: whoever asks again may be answered, so nothing is given up."""
    with pytest.raises(database.AWAY):
        await pool.execute(f"do $$ begin raise exception 'made to fail' using errcode = '{code}'; end $$")
