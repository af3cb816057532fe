"""Bodies that stop coming."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from services.ingest.body import Broken, lively


async def test_a_body_that_falls_silent_is_ended() -> None:
    """What came is passed on; then, when nothing more comes, a 408."""

    async def body() -> AsyncGenerator[bytes, None]:
        yield b"a"
        await asyncio.Event().wait()

    chunks = lively(body(), 0.01)
    assert await anext(chunks) == b"a"
    with pytest.raises(Broken) as silent:
        await anext(chunks)
    assert (silent.value.status, silent.value.code) == (408, "upload_stalled")
