"""Connections on which little is said."""

import asyncio
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from services.ingest.bounded_http import BoundedHttp

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


class Hasty(BoundedHttp):
    head_seconds = 0.02


class Line(asyncio.Transport):
    """A connection's other end: what it was told, and whether it was hung up."""

    def __init__(self) -> None:
        super().__init__()
        self.told = b""
        self.answered = asyncio.Event()
        self.ended = asyncio.Event()

    def write(self, data: Any) -> None:
        self.told += bytes(data)
        self.answered.set()

    def write_eof(self) -> None:
        self.ended.set()

    def close(self) -> None:
        self.ended.set()

    def is_closing(self) -> bool:
        return self.ended.is_set()


async def application(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def connected() -> tuple[Hasty, Line]:
    config = uvicorn.Config(application, log_config=None, lifespan="off", timeout_keep_alive=60)
    protocol, line = Hasty(config, ServerState(), {}), Line()
    protocol.connection_made(line)
    return protocol, line


async def test_who_says_nothing_is_hung_up_on() -> None:
    """Without a word, as there was no request."""
    _, line = connected()
    async with asyncio.timeout(60):
        await line.ended.wait()
    assert line.told == b""


async def test_a_head_that_does_not_come_is_refused() -> None:
    """Whether it is the first of its connection or a later one."""
    for before in (b"", HEAD + b"\r\n"):
        protocol, line = connected()
        async with asyncio.timeout(60):
            if before:
                protocol.data_received(before)
                await line.answered.wait()
            protocol.data_received(HEAD)
            await line.ended.wait()
        assert b" 408 " in line.told
        assert b'"headers_stalled"' in line.told
        protocol.connection_lost(None)
