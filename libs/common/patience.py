"""Waiting for an event, for so long and no longer.

Not `asyncio.wait_for`: before Python 3.12 it swallows a cancellation that comes at the very moment at which what it waits for is there.
Then whoever cancelled waits for ever for a task that goes on: a heartbeat that keeps the lease of a job that is done, a service that
does not stop.
"""

import asyncio


async def wait(event: asyncio.Event, seconds: float) -> bool:
    """Whether `event` is set within so many seconds. A cancellation always comes through."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
