"""A webhook receiver on loopback that keeps what it got and answers as a test wants."""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.Response]]


class Received(msgspec.Struct, frozen=True):
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> Any:
        """What the body says."""
        return msgspec.json.decode(self.body)


class Receiver:
    """`answers` are used up one by one, in the order in which requests come; after that it is 204. After `stop` nobody is there."""

    def __init__(self) -> None:
        self.answers: deque[Answer] = deque()
        self.received: list[Received] = []
        self.release = asyncio.Event()
        self.url = ""
        self.stop: Callable[[], Awaitable[None]] = _nothing
        self._news = asyncio.Condition()

    async def wait(self, count: int, limit: float = 60) -> list[Received]:
        """What was received, once it is `count` requests or more."""
        async with asyncio.timeout(limit), self._news:
            await self._news.wait_for(lambda: len(self.received) >= count)
        return self.received

    async def held(self, _request: web.Request) -> web.Response:
        """An answer that comes only when the test says so."""
        await self.release.wait()
        return web.Response(status=204)

    async def handle(self, request: web.Request) -> web.Response:
        received = Received(request.path, {name.lower(): value for name, value in request.headers.items()}, await request.read())
        async with self._news:
            self.received.append(received)
            self._news.notify_all()
        return await (self.answers.popleft() if self.answers else answering(204))(request)


async def _nothing() -> None:
    """Until it listens."""


def answering(status: int, text: str = "", **headers: str) -> Answer:
    """Always the same; `Retry_After="1"` is a header."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


@asynccontextmanager
async def receiving(context: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver that listens on every path, under TLS with a `context`."""
    receiver = Receiver()
    app = web.Application(client_max_size=2**27)
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        _, port = runner.addresses[0][:2]
        receiver.url = f"http{'' if context is None else 's'}://127.0.0.1:{port}/webhook"
        receiver.stop = site.stop
        yield receiver
    finally:
        receiver.release.set()
        await runner.cleanup()
