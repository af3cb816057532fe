"""Waiting with a limit, and being cancelled meanwhile."""

import asyncio
import contextlib

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
    done, _ = await asyncio.wait({task}, timeout=60)
    assert done, "the cancellation was swallowed"


async def test_it_tells_whether_the_event_came() -> None:
    """In time, or not."""
    event = asyncio.Event()
    assert not await patience.wait(event, 0.01)
    asyncio.get_running_loop().call_soon(event.set)
    assert await patience.wait(event, 60)


@pytest.mark.parametrize("made_of_it", [None, ConnectionError("lost")], ids=["goes on", "fails"])
async def test_a_block_that_heeds_ends_cancelled(made_of_it: Exception | None) -> None:
    """Though what it awaits goes on, or fails with an error of its own."""

    async def swallow() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if made_of_it is not None:
                raise made_of_it from None

    async def work() -> None:
        with contextlib.suppress(ConnectionError):
            async with patience.heeding():
                await swallow()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_limit_around_a_block_that_heeds_is_a_limit() -> None:
    """What ends the block at the limit is no cancellation from outside."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), patience.heeding():
            await asyncio.sleep(60)


async def test_a_limit_within_a_block_that_heeds_does_not_end_it() -> None:
    """The task is not asked to end by it."""
    async with patience.heeding():
        assert not await patience.wait(asyncio.Event(), 0.01)
