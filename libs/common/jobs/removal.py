"""How a job goes: it is condemned, its bytes go, then its row, which leaves a receipt.

What a job has in the bucket goes before its row says that it has gone (design section 2): `delete` and `expire` are called after it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from common.database import Connection, Queries
from common.ids import JobId
from common.jobs.announcing import announce_all
from common.jobs.job import Job, Receipt, Status, from_row
from common.jobs.receipt import receipt
from common.jobs.store import cancel
from common.webhook import ENDS

SQL = Queries(Path(__file__).with_name("removal.sql"))


async def condemn(connection: Connection, job_id: JobId, tenant: str) -> Job | None:
    """any -> cancelled, or final as it is; past its time, so that its bytes may go: nobody can take it up again. None: no such job."""
    async with connection.transaction():
        await connection.execute(SQL["lock_job"], job_id, tenant)
        await cancel(connection, job_id, tenant)
        row = await connection.fetchrow(SQL["condemn_job"], job_id, tenant)
    return None if row is None else from_row(row)


async def condemn_many(connection: Connection, job_ids: Iterable[JobId], tenant: str, status: Status) -> list[Job]:
    """The same for many, as far as they still have that final `status`."""
    return [from_row(row) for row in await connection.fetch(SQL["condemn_jobs"], list(job_ids), tenant, status)]


async def delete(connection: Connection, job_id: JobId, tenant: str) -> Job | None:
    """completed | failed | cancelled | expired -> (gone); a receipt stays. Call only when the job is condemned and its bytes are gone."""
    async with connection.transaction():
        row = await connection.fetchrow(SQL["delete_job"], job_id, tenant)
        deleted = [] if row is None else await _deleted(connection, [from_row(row)])
    return deleted[0] if deleted else None


async def delete_many(connection: Connection, job_ids: Iterable[JobId], tenant: str) -> list[Job]:
    """The same for many."""
    async with connection.transaction():
        jobs = [from_row(row) for row in await connection.fetch(SQL["delete_jobs"], list(job_ids), tenant)]
        return await _deleted(connection, jobs)


async def receipt_of(connection: Connection, job_id: JobId, tenant: str) -> Receipt | None:
    """What was deleted of the job when it expired or was deleted, for as long as that is kept."""
    found = await connection.fetchval(SQL["get_receipt"], job_id, tenant)
    return None if found is None else msgspec.convert(found, Receipt)


async def due_to_expire(connection: Connection, *, after: Job | None, limit: int) -> list[Job]:
    """Finished jobs past their time, whose bytes must go before `expire`; a page of them, following the job `after`."""
    key = (None, None) if after is None else (after.expires_at, after.id)
    return [from_row(row) for row in await connection.fetch(SQL["expired_jobs"], limit, *key)]


async def delivered(connection: Connection, *, after: Job | None, limit: int) -> list[Job]:
    """The same, of jobs of which nothing is kept after delivery, once all is delivered or given up."""
    key = (None, None) if after is None else (after.expires_at, after.id)
    return [from_row(row) for row in await connection.fetch(SQL["delivered_jobs"], limit, *key, list(ENDS))]


async def promised(connection: Connection, job_ids: Sequence[JobId], *, unheard: timedelta) -> set[JobId]:
    """Those of the jobs whose result is still on its way to whom it was promised.

    One of which no delivery is there counts as not heard of by the notifier for as long as `unheard` after its end, which must be no longer
    than deliveries are kept.
    """
    return {row["id"] for row in await connection.fetch(SQL["promised_jobs"], list(job_ids), unheard)}


async def expire(connection: Connection, jobs: Sequence[Job]) -> list[Job]:
    """completed | failed | cancelled -> expired, with a receipt; those that still were due. Call only when their bytes are gone."""
    async with connection.transaction():
        now = await connection.fetchval("select now()")
        receipts = [receipt(job, "expired", now) for job in jobs]
        rows = await connection.fetch(SQL["expire_jobs"], [job.id for job in jobs], receipts)
        expired = [from_row(row) for row in rows]
        await connection.execute(SQL["forget_answers"], [job.id for job in expired])
        await announce_all(connection, "job.expired", expired)
    return expired


async def purge(connection: Connection, *, older_than: timedelta, after: Job | None, limit: int) -> list[Job]:
    """expired -> (gone), for tombstones older than that of which nothing is still to be delivered; a page, following the job `after`."""
    key = (None, None) if after is None else (after.expired_at, after.id)
    async with connection.transaction():
        jobs = [from_row(row) for row in await connection.fetch(SQL["old_tombstones"], older_than, limit, *key)]
        await connection.execute(SQL["forget_letters"], [job.id for job in jobs])
        await announce_all(connection, "job.deleted", jobs)
    return jobs


async def purge_receipts(connection: Connection, *, older_than: timedelta, limit: int) -> list[datetime]:
    """Forget receipts of deleted jobs; returns from when they were."""
    return [row["deleted_at"] for row in await connection.fetch(SQL["old_receipts"], older_than, limit)]


async def _deleted(connection: Connection, jobs: Sequence[Job]) -> list[Job]:
    """Keep receipts for jobs whose rows have gone, and nothing else, and announce it, within the caller's transaction."""
    now = await connection.fetchval("select now()")
    gone = [msgspec.structs.replace(job, receipt=receipt(job, "deleted", now)) for job in jobs]
    if gone:
        rows = [job.id for job in gone], [job.tenant for job in gone], [job.receipt for job in gone]
        await connection.execute(SQL["keep_receipts"], *rows)
        await connection.execute(SQL["forget_answers"], rows[0])
        await connection.execute(SQL["forget_letters"], rows[0])
        await announce_all(connection, "job.deleted", gone)
    return gone
