"""Waiting for so long and no longer, and never longer than one is asked to.

Before Python 3.12 `asyncio.wait_for` swallows a cancellation that comes at the very moment at which what it waits for is there, and
aio-pika, which uses it, may end a cancelled call with an error of its own. Then whoever cancelled waits for ever for a task that goes on: a
heartbeat that keeps the lease of a job that is done, a service that does not stop.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator


async def wait(event: asyncio.Event, seconds: float) -> bool:
    """Whether `event` is set within so many seconds. A cancellation always comes through."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


@contextlib.asynccontextmanager
async def heeding() -> AsyncIterator[None]:
    """A task that is cancelled within this block leaves it cancelled, whatever was made of that by what the block awaits."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        yield
    finally:
        if task.cancelling() > before:
            raise asyncio.CancelledError
