"""Long polls: wake a request when its job may have changed.

A notification carries only the job's id; the waiter reads the row again itself, and a wait always ends at its deadline, so a lost
notification costs time and never truth.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable

from common.ids import JobId
from common.jobs.job import Job

MAX_SECONDS = 60.0


class Waiters:
    """Requests that wait for a job to change. `notify` is called by the listener on the `job` channel."""

    def __init__(self) -> None:
        self._events: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def notify(self, job_id: str) -> None:
        """Wake those who wait for `job_id`; an empty id wakes all (notifications may have been missed)."""
        for key in list(self._events) if not job_id else [job_id]:
            for event in self._events.get(key, ()):
                event.set()

    async def until_changed(self, job_id: JobId, read: Callable[[], Awaitable[Job | None]], seconds: float) -> Job | None:
        """The job as `read` gives it: at once when it is final, else when its status has changed, or when time is up."""
        event = asyncio.Event()
        self._events[str(job_id)].add(event)
        try:
            first = await read()
            if first is None or first.status.final:
                return first
            try:
                async with asyncio.timeout(min(seconds, MAX_SECONDS)):
                    while True:
                        await event.wait()
                        event.clear()
                        job = await read()
                        if job is None or job.status is not first.status:
                            return job
            except TimeoutError:
                return await read()
        finally:
            self._events[str(job_id)].discard(event)
            if not self._events[str(job_id)]:
                del self._events[str(job_id)]
