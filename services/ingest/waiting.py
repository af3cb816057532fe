"""Long polls: a request that waits until its job's status changes, and for so many seconds at the most."""

import asyncio
from collections.abc import Awaitable, Callable

from common.ids import JobId
from common.jobs.job import Job
from common.jobs.watch import Watch

MAX_SECONDS = 60.0


async def until_changed(watch: Watch, job_id: JobId, read: Callable[[], Awaitable[Job | None]], seconds: float) -> Job | None:
    """The job as `read` gives it: at once when it is final, else when its status has changed, or when time is up."""
    with watch.watching(job_id) as changed:
        first = await read()
        if first is None or first.status.final:
            return first
        try:
            async with asyncio.timeout(min(seconds, MAX_SECONDS)):
                while True:
                    await changed.wait()
                    changed.clear()
                    job = await read()
                    if job is None or job.status is not first.status:
                        return job
        except TimeoutError:
            return await read()
