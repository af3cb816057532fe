"""A call that waits for its job, and then for the zip of its clips.

A zip has no room for white space, so nothing is sent before it is there.
"""

from contextlib import aclosing
from functools import partial
from typing import Any

from litestar import Request
from litestar.types import ASGIApp, Receive, Scope, Send

from services.ingest.call import Call, Calls, send_body
from services.ingest.compat import zips
from services.ingest.compat.zips import Zips
from services.ingest.submission import Accepted

_AT_ONCE = 60.0
"""Seconds that are waited in one go, within those that the call has."""


class Splitting:
    """Answers with zips."""

    def __init__(self, calls: Calls, made: Zips) -> None:
        self._calls = calls
        self._zips = made

    def answer(self, request: Request[Any, Any, Any], accepted: Accepted) -> ASGIApp:
        """The answer to a call whose job is `accepted`."""
        call = Call(self._calls, request, accepted)

        async def app(_scope: Scope, receive: Receive, send: Send) -> None:
            await call.attended(receive, partial(self._send, call, send))

        return app

    async def _send(self, call: Call, send: Send) -> None:
        job = (await call.outcome()).job
        async with call.limited():
            while (lacking := await call.patiently(partial(self._zips.lacking, job, seconds=_AT_ONCE))) is not None:
                if not zips.unfinished(lacking):
                    raise lacking
        await call.begin(send, zips.MEDIA_TYPE, zips.headers(job))
        async with aclosing(self._zips.read(job)) as chunks:
            async for chunk in chunks:
                await send_body(send, chunk, more=True)
        await send_body(send, b"")
