"""A change of a job and its event, in one transaction: there is no way to make the one without the other.

An event that ends a job has an id that follows from the job, so that telling it again is telling the same.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid5

import msgspec

from common import ids, outbox
from common.database import Connection
from common.ids import EventId
from common.jobs.document import public
from common.jobs.job import Job, from_row
from common.outbox import News
from common.webhook import ENDS


async def change(connection: Connection, event: str, statement: str, *arguments: object, delay: timedelta = timedelta(0)) -> Job | None:
    """Run a guarded statement inside the caller's transaction and announce what it changed."""
    row = await connection.fetchrow(statement, *arguments)
    if row is None:
        return None
    job = from_row(row)
    await announce(connection, event, job, delay=delay)
    return job


async def announce(connection: Connection, event: str, job: Job, *, delay: timedelta = timedelta(0)) -> None:
    """Put the event into the outbox, within the caller's transaction."""
    data = msgspec.json.encode(public(job))
    await outbox.add(connection, event, subject=str(job.id), data=data, delay=delay, trace=job.trace, event_id=event_id(event, job))


async def announce_all(connection: Connection, event: str, jobs: Sequence[Job]) -> None:
    """The same for many."""
    if jobs:
        news = [News(event_id(event, job), str(job.id), msgspec.json.encode(public(job)), job.trace) for job in jobs]
        await outbox.add_many(connection, event, news)


def event_id(event: str, job: Job) -> EventId:
    """An end's follows from the job, so that telling it again is telling the same."""
    return EventId(uuid5(job.id, f"{event} {job.revision}") if event in ENDS else ids.new())
