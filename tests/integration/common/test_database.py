"""A pool gets over connections that end in any way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from urllib.parse import urlsplit

import asyncpg
import pytest

from common import database
from common.database import Pool


class Tunnel:
    """Leads to Postgres and keeps its first hang-up to itself, as a network may that loses the last packet."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self.hung_up = asyncio.Event()

    async def lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        with closing(writer), closing(back):
            replies = asyncio.create_task(self._pass_on(there, writer))
            while data := await reader.read(2**16):
                back.write(data)
            replies.cancel()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16):
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
        await pool.fetchval("select 1")  # while it travels, the last word is read
        with pytest.raises(database.AWAY) as raised:
            await led_pool.fetchval("select 1")
        assert isinstance(raised.value, asyncpg.InternalClientError)
        assert await led_pool.fetchval("select 1") == 1


@pytest.mark.parametrize("code", ["25006", "25P03", "40001", "40P01", "53100", "53200", "53300", "58030"])
async def test_a_failure_that_is_not_for_what_was_asked_counts_as_away(pool: Pool, code: str) -> None:
    """A full disk, a deadlock, a server that is not the first any more: whoever asks again may be answered, so nothing is given up."""
    with pytest.raises(database.AWAY):
        await pool.execute(f"do $$ begin raise exception 'made to fail' using errcode = '{code}'; end $$")
