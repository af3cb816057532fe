"""Where a queued job stands and when it will be done, as every answer that shows one says it.

The outlook that this follows from is a look at the whole queue. One is kept for a second, or, with a queue so long that a look takes its
time, for twenty times as long as it took: looking never takes more than a twentieth of one connection's time.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta

from common.database import Connection, Pool
from common.jobs import queue
from common.jobs.document import JobDocument, public
from common.jobs.job import Job, Status
from common.jobs.queue import Load, Outlook

_LEAST_SECONDS = 1.0
_TIMES = 20


class Places:
    """One per process."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._outlook: Outlook | None = None
        self._good_until = 0.0

    async def documents(self, connection: Connection, jobs: Sequence[Job]) -> list[JobDocument]:
        """The public documents of `jobs`, in their order; costs a query only when one of them is queued."""
        queued = [job for job in jobs if job.status is Status.QUEUED]
        if not queued:
            return [public(job) for job in jobs]
        outlook = await self.outlook(connection)
        ahead = await queue.ahead(connection, queued, outlook.milestones)
        etas = {job.id: outlook.eta(ahead[job.id], job.duration or 0.0) for job in queued}
        untold = {job.id: eta for job in queued if job.eta is None and (eta := etas[job.id]) is not None}
        if untold:
            await queue.tell(connection, untold)
        return [_document(job, ahead[job.id], outlook) if job.id in ahead else public(job) for job in jobs]

    async def document(self, source: Connection | Pool, job: Job) -> JobDocument:
        """The public document of one job; takes a connection from a pool only when there is something to ask."""
        if job.status is not Status.QUEUED:
            return public(job)
        if isinstance(source, Pool):
            async with source.acquire() as connection:
                return await self.document(connection, job)
        [document] = await self.documents(source, [job])
        return document

    async def outlook(self, connection: Connection) -> Outlook:
        """The queue as it was lately. Looks with the caller's connection: one more could be more than the pool has."""
        async with self._lock:
            if self._outlook is None or time.monotonic() > self._good_until:
                began = time.monotonic()
                self._outlook = await queue.outlook(connection)
                ended = time.monotonic()
                self._good_until = ended + max(_LEAST_SECONDS, _TIMES * (ended - began))
            return self._outlook


def _document(job: Job, ahead: Load, outlook: Outlook) -> JobDocument:
    eta = outlook.eta(ahead, job.duration or 0.0)
    # Whole seconds: it is no better known than that, and an answer that does not change need not be sent again.
    return public(job, position=ahead.jobs + 1, eta=None if eta is None else (eta + timedelta(milliseconds=500)).replace(microsecond=0))
