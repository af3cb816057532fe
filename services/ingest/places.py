"""Where a queued job stands and when it will be done, as every answer that shows one says it.

The outlook that this follows from is a look at the whole queue, which is kept for a while.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from common.database import Connection, Pool
from common.jobs import queue
from common.jobs.document import JobDocument, public
from common.jobs.job import Job, Status
from common.jobs.queue import Load, Outlook
from services.ingest.kept import Kept


class Places:
    """One per process."""

    def __init__(self) -> None:
        self._outlook = Kept[Outlook]()

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
        return [_document(job, ahead[job.id], etas[job.id]) if job.id in ahead else public(job) for job in jobs]

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
        return await self._outlook.get(lambda: queue.outlook(connection))


def _document(job: Job, ahead: Load, eta: datetime | None) -> JobDocument:
    # Whole seconds: it is no better known than that, and an answer that does not change need not be sent again.
    return public(job, position=ahead.jobs + 1, eta=None if eta is None else (eta + timedelta(milliseconds=500)).replace(microsecond=0))
