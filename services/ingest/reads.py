"""Reading jobs for many requests at once: those that come while a query is under way share the next one.

Polling is what an API of jobs is asked for most, and a query costs it more than all else that an answer needs. No answer is older than its
request: a query never begins before those that share it have come.
"""

import asyncio
from typing import NamedTuple

from common.database import Pool
from common.ids import JobId
from common.jobs import store
from common.jobs.job import Job


class _Asked(NamedTuple):
    job_id: JobId
    tenant: str
    answer: asyncio.Future[Job | None]


class Reads:
    """One per process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: list[_Asked] = []
        self._reading: asyncio.Task[None] | None = None

    async def get(self, job_id: JobId, tenant: str) -> Job | None:
        """The job, if it is this tenant's. Raises what the query that was shared raised."""
        asked = _Asked(job_id, tenant, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="read-jobs")
        return await asked.answer

    async def _read(self) -> None:
        """With one connection for as long as anybody waits: to take one and give it back costs more than a query."""
        try:
            while self._waiting:
                asked: list[_Asked] = []
                try:
                    async with self._pool.acquire() as connection:
                        while self._waiting:
                            asked, self._waiting = self._waiting, []
                            jobs = await store.get_many(connection, [each[:2] for each in asked if not each.answer.cancelled()])
                            for each in asked:
                                if not each.answer.done():
                                    each.answer.set_result(jobs.get(each[:2]))
                except Exception as error:  # noqa: BLE001 - it is theirs
                    if not asked:
                        asked, self._waiting = self._waiting, []  # there was no connection to be had
                    for each in asked:
                        if not each.answer.done():
                            each.answer.set_exception(error)
        finally:
            self._reading = None
