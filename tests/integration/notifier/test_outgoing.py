"""Receivers that misbehave cost one attempt, a bounded time and no memory."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network

import pytest
from aiohttp import web

from services.notifier.answer import Answer, Answered, Unanswered
from services.notifier.outgoing import ANSWER_BYTES, opened
from tests.integration.notifier.receiver import Receiver, answering

LIMIT = timedelta(seconds=1)
LONG = timedelta(seconds=60)
LOOPBACK = (ip_network("127.0.0.0/8"),)
Post = Callable[[str, bytes, Mapping[str, str]], Awaitable[Answer]]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    """It may call loopback and waits for as long as a busy machine may take."""
    async with opened(limit=LONG, allowed=LOOPBACK) as made:
        yield made.post


@pytest.fixture
async def hasty() -> AsyncIterator[Post]:
    """The same, but waits for a second."""
    async with opened(limit=LIMIT, allowed=LOOPBACK) as made:
        yield made.post


@asynccontextmanager
async def raw(serve: Serve) -> AsyncIterator[str]:
    """A server that speaks whatever `serve` writes, by its URL."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


def saying(*parts: bytes, seconds: float = 0, repeat: int = 1) -> Serve:
    """Writes `parts`, the last one `repeat` times and `seconds` apart."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.writelines(parts[:-1])
        for _ in range(repeat):
            writer.write(parts[-1])
            await writer.drain()
            await asyncio.sleep(seconds)

    return serve


BROKEN: dict[str, Serve] = {
    "closes at once": saying(b""),
    "is no HTTP server": saying(b"SSH-2.0-OpenSSH_9.2p1\r\n"),
    "answers in binary": saying(bytes(range(256))),
    "sends a header without end": saying(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 1_000, repeat=1_000),
    "sends headers without end": saying(b"HTTP/1.1 200 OK\r\n", b"X: x\r\n", repeat=10_000, seconds=0.01),
    "sends headers in binary": saying(b"HTTP/1.1 200 OK\r\n\xff\x00: \xfe\r\n\r\n"),
    "sends two lengths": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"),
    "drips its answer": saying(b"HTTP/1.1 200", b" ", repeat=10_000, seconds=0.01),
    "never answers": saying(b"", seconds=100),
    "says for ever that it will": saying(b"HTTP/1.1 102 Processing\r\n\r\n", repeat=10_000, seconds=0.01),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_no_answer(hasty: Post, case: str) -> None:
    """A server that gives no answer of HTTP is a failure with a reason, within the limit, and worth another attempt."""
    started = time.monotonic()
    async with raw(BROKEN[case]) as url:
        answer = await hasty(f"{url}secret?key=secret", b"{}", {})

    assert isinstance(answer, Unanswered)
    assert answer.error.encode()  # as Postgres will have it
    assert "secret" not in answer.error
    assert answer.code is None
    assert time.monotonic() - started < LIMIT.total_seconds() + 60


async def test_nobody_there(post: Post) -> None:
    """A closed port is a failure, and worth another attempt."""
    async with raw(saying(b"")) as url:
        closed = url
    answer = await post(closed, b"{}", {})
    assert isinstance(answer, Unanswered)
    assert answer.code is None


@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:99999/", "http://a..b/", f"http://{'x' * 64}.example/"])
async def test_no_url(post: Post, url: str) -> None:
    """What can never be called is said to be so."""
    assert await post(url, b"{}", {}) == Unanswered(error="the URL is not valid", code="url_invalid")


async def test_a_long_answer(post: Post) -> None:
    """Of an answer that goes on and on the beginning is kept, and the rest is not read."""
    said = 0

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal said
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()
            said += 65_536

    async with raw(serve) as url:
        assert await post(url, b"{}", {}) == Answered(status=200, beginning="x" * ANSWER_BYTES)
    assert said < 2**26  # what sockets hold, and no more


async def test_a_body_that_stalls(post: Post) -> None:
    """The status has said it all: a body that never ends does not turn a success into a failure."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n"
    async with raw(saying(head, b"begun", seconds=30)) as url:
        assert await post(url, b"{}", {}) == Answered(status=200, beginning="begun")


async def test_a_compressed_answer(post: Post, receiver: Receiver) -> None:
    """Nothing is decompressed: a bomb stays as small as it came."""

    async def bomb(_request: web.Request) -> web.Response:
        response = web.Response(body=b"\x00" * 10_000_000, headers={"Content-Type": "text/plain"})
        response.enable_compression(web.ContentCoding.gzip)
        return response

    receiver.answers.append(bomb)
    answer = await post(receiver.url, b"{}", {"Accept-Encoding": "gzip"})

    assert isinstance(answer, Answered)
    assert len(answer.beginning) <= ANSWER_BYTES
    assert "\x00" not in answer.beginning


async def test_names_that_nobody_knows(post: Post, receiver: Receiver) -> None:
    """Looking up one name does not wait for others of which their servers say nothing: as many as there are threads for, by default."""
    known, waiting = threading.Event(), []
    try:
        waiting = [asyncio.get_running_loop().run_in_executor(None, known.wait) for _ in range(64)]
        assert isinstance(await post(receiver.url.replace("127.0.0.1", "localhost"), b"{}", {}), Answered)
    finally:
        known.set()
        await asyncio.gather(*waiting)


async def test_no_memory_of_a_receiver(post: Post, receiver: Receiver) -> None:
    """Cookies are not kept, and the request says no more than it must."""
    receiver.answers.append(answering(200, Set_Cookie="a=b; Path=/"))
    await post(receiver.url, b"{}", {})
    await post(receiver.url, b"{}", {})

    first, second = await receiver.wait(2)
    assert "cookie" not in second.headers
    needed = {"host", "user-agent", "content-type", "content-length", "accept", "accept-encoding"}
    assert needed <= set(first.headers) <= needed | {"connection"}
