"""An S3 store that does not always do as it is told: what it does not refuse it passes on to a real one."""

import asyncio
import io
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from common.storage import Storage

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class Gateway:
    """Refuses to delete the keys that `refused` says, one by one; with `busy`, every second request for a deletion as a whole.

    A refusal is a 503, in the answer for one key or of the request. A request that is `stuck` is never answered. `deletions` are counted.
    """

    def __init__(self, target: str, store: Storage) -> None:
        self._target = target
        self._store = store
        self.refused: Callable[[str], bool] = lambda _key: False
        self.stuck: Callable[[web.Request], bool] = lambda _request: False
        self.busy = False
        self.deletions = 0

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self.stuck(request):
            await asyncio.Event().wait()
        if request.method == "POST" and "delete" in request.query:
            self.deletions += 1
            if self.busy and self.deletions % 2:
                return web.Response(status=503, text="<Error><Code>SlowDown</Code><Message>Later.</Message></Error>")
            return await self._delete(body)
        # The signature covers the host, which is this one: passed on as it is, it stays right.
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            url = f"{self._target}{request.raw_path}"
            data = io.BytesIO(body) if body else None
            async with session.request(request.method, url, data=data, headers=request.headers, skip_auto_headers={"User-Agent"}) as answer:
                kept = {name: answer.headers[name] for name in ("Content-Type", "ETag") if name in answer.headers}
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    async def _delete(self, body: bytes) -> web.Response:
        keys = [element.text or "" for element in ET.fromstring(body).iter(f"{{{_NAMESPACE}}}Key")]  # noqa: S314 - our own client's
        await self._store.delete(key for key in keys if not self.refused(key))
        errors = "".join(
            f"<Error><Key>{key}</Key><Code>ServiceUnavailable</Code><Message>Later.</Message></Error>" for key in keys if self.refused(key)
        )
        return web.Response(text=f'<DeleteResult xmlns="{_NAMESPACE}">{errors}</DeleteResult>', content_type="application/xml")


@asynccontextmanager
async def gateway(target: str, store: Storage) -> AsyncIterator[tuple[Gateway, str]]:
    """One in front of the store at `target`, and its own address."""
    opened = Gateway(target, store)
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", opened.handle)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield opened, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
