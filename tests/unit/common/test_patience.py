"""Waiting with a limit, and being cancelled meanwhile."""

import asyncio

import pytest

from common import patience


@pytest.mark.parametrize("ticks", range(5))
async def test_a_cancellation_comes_through_whenever_it_comes(ticks: int) -> None:
    """Also at the moment at which the event is set, before whoever waits has noticed."""
    event = asyncio.Event()

    async def beat() -> None:
        while True:
            await patience.wait(event, 60)
            event.clear()

    task = asyncio.create_task(beat())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    event.set()
    for _ in range(ticks):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=1)
    assert done, "the cancellation was swallowed"


async def test_it_tells_whether_the_event_came() -> None:
    """In time, or not."""
    event = asyncio.Event()
    assert not await patience.wait(event, 0.01)
    asyncio.get_running_loop().call_soon(event.set)
    assert await patience.wait(event, 60)
