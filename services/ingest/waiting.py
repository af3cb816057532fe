"""Long polls: a request that waits until something has changed, and for so many seconds at the most."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from common.ids import JobId
from common.jobs.job import Job
from common.jobs.watch import Watch

T = TypeVar("T")

MAX_SECONDS = 60.0


class Patience(msgspec.Struct, frozen=True):
    """For calls that wait for the end: `limit` seconds at the most, of which for `quiet` ones nothing is sent.

    When the service stops, connections last for `drain` seconds more.
    """

    limit: float
    quiet: float
    drain: float


async def until_changed(watch: Watch, job_id: JobId, read: Callable[[], Awaitable[Job | None]], seconds: float) -> Job | None:
    """The job as `read` gives it: at once when it is final, else when its status has changed, or when time is up."""
    first = await read()
    if first is None:
        return None
    status = first.status
    return await until(watch, str(job_id), read, lambda job: job is None or job.status.final or job.status is not status, seconds=seconds)


async def until(
    watch: Watch, key: str, read: Callable[[], Awaitable[T]], satisfied: Callable[[T], bool], *, seconds: float, poll: float = MAX_SECONDS
) -> T:
    """What `read` gives, once that is `satisfied` or time is up. Reads again when `watch` hears of `key`, and every `poll` seconds."""
    deadline = asyncio.get_running_loop().time() + min(seconds, MAX_SECONDS)
    with watch.watching(key) as changed:
        while True:
            found = await read()
            left = deadline - asyncio.get_running_loop().time()
            if satisfied(found) or left <= 0:
                return found
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, poll)):
                    await changed.wait()
            changed.clear()
