"""A request's body as it comes."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from litestar import Request
from litestar.exceptions import InternalServerException

from services.ingest.problems import Problem

_SILENT_SECONDS = 30.0


class Broken(Problem):
    """The body ended before its end."""


def streamed(request: Request[Any, Any, Any], silent_seconds: float = _SILENT_SECONDS) -> AsyncGenerator[bytes, None]:
    """The bytes, for as long as they keep coming; a client that goes away is the client's doing, not the server's."""
    return lively(_received(request), silent_seconds)


async def _received(request: Request[Any, Any, Any]) -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in request.stream():
            yield chunk
    except InternalServerException:
        raise Broken(400, "client_disconnected", "The client went away before the end of the body.") from None


async def lively(chunks: AsyncGenerator[bytes, None], seconds: float) -> AsyncGenerator[bytes, None]:
    """`chunks` for as long as they keep coming: a client that has gone without our noticing must hold nothing for long."""
    while True:
        try:
            async with asyncio.timeout(seconds):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Broken(408, "upload_stalled", f"No bytes came for {seconds:g} seconds.") from None
        yield chunk


def announced(request: Request[Any, Any, Any]) -> int | None:
    """How many bytes there will be, as far as the client says so."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isdecimal() else None
