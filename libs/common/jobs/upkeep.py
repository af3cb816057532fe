"""What keeps jobs moving when something was lost: a worker, a token, the news of an end, or a place in the queue to age."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from common.database import Connection, Queries
from common.ids import JobId
from common.jobs.announcing import announce, announce_all, change
from common.jobs.job import Failure, Job, Status, from_row

SQL = Queries(Path(__file__).with_name("upkeep.sql"))

_WORKER_LOST = "worker_lost"


class Tokens(msgspec.Struct, frozen=True):
    """Jobs that may be claimed, those of them that have waited for long, and tokens that are still in the outbox."""

    claimable: int
    waiting: int
    unpublished: int


async def rescue(connection: Connection, *, limit: int) -> list[Job]:
    """processing -> queued (or failed, when attempts are used up) for jobs whose lease ran out."""
    lost = Failure(_WORKER_LOST, "The worker stopped responding while it had this job.", retryable=True)
    async with connection.transaction():
        jobs = [from_row(row) for row in await connection.fetch(SQL["rescue_jobs"], limit, lost)]
        for job in jobs:
            await announce(connection, "job.failed" if job.status is Status.FAILED else "job.requeued", job)
    return jobs


async def lost_since(connection: Connection) -> datetime | None:
    """When the first of the leases that have run out did."""
    since: datetime | None = await connection.fetchval(SQL["lost_since"])
    return since


async def fail_poisonous(connection: Connection, job_ids: Sequence[JobId], failure: Failure) -> list[Job]:
    """queued -> failed for those of the jobs that have lost a worker before."""
    async with connection.transaction():
        rows = await connection.fetch(SQL["fail_poisonous_jobs"], list(job_ids), failure, _WORKER_LOST)
        jobs = [from_row(row) for row in rows]
        await announce_all(connection, "job.failed", jobs)
    return jobs


async def lift(connection: Connection, *, older_than: timedelta, limit: int) -> list[Job]:
    """One band up for jobs that have waited in theirs for longer than `older_than`: of each tenant one at a time."""
    return [from_row(row) for row in await connection.fetch(SQL["lift_jobs"], older_than, limit)]


async def pass_on(connection: Connection, tenant: str) -> Job | None:
    """A token for the tenant's next job, if it has one: tokens that came while the tenant was at its limit found nothing and are gone."""
    async with connection.transaction():
        return await change(connection, "job.requeued", SQL["next_of_tenant"], tenant)


async def tokens(connection: Connection, *, older_than: timedelta) -> Tokens:
    """What there is to claim, and the tokens for it that the broker does not have yet."""
    [row] = await connection.fetch(SQL["count_tokens"], older_than)
    return msgspec.convert(dict(row), Tokens)


async def reissue(connection: Connection, *, older_than: timedelta, limit: int) -> list[Job]:
    """A new token for up to `limit` queued jobs that have waited for longer than `older_than`."""
    async with connection.transaction():
        jobs = [from_row(row) for row in await connection.fetch(SQL["tokenless_jobs"], older_than, limit)]
        await announce_all(connection, "job.requeued", jobs)
    return jobs


async def untold(connection: Connection, *, older_than: timedelta, reach: timedelta, limit: int) -> list[Job]:
    """Jobs whose end somebody wants to be told of and, as far as Postgres knows, was not; ended between `reach` and `older_than` ago."""
    return [from_row(row) for row in await connection.fetch(SQL["untold_jobs"], older_than, reach, limit)]


async def retell(connection: Connection, *, older_than: timedelta, reach: timedelta, limit: int) -> list[Job]:
    """Announce their ends again, as the events that they were."""
    async with connection.transaction():
        jobs = await untold(connection, older_than=older_than, reach=reach, limit=limit)
        for job in jobs:
            await announce(connection, f"job.{job.status}", job)
    return jobs
