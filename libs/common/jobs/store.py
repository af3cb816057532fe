"""How a job changes. Every function is one guarded statement plus its event, in one transaction.

A write that finds the job no longer in the expected status, or leased to someone else, changes nothing and returns None: duplicates,
redeliveries and workers that wake from the dead all end there (design section 2, invariants 2 and 4).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid5

import asyncpg
import msgspec

from common import ids, outbox
from common.database import Connection, Queries
from common.ids import EventId, JobId, LeaseToken
from common.jobs.document import public
from common.jobs.duration import estimated_seconds
from common.jobs.job import Cache, Failure, Job, Receipt, Result, Source, Status, Upload, from_row
from common.jobs.options import ASIDE, PRIORITIES, OptionError, Options, stored
from common.jobs.receipt import receipt
from common.lexicons import store as lexicons
from common.outbox import News
from common.references import store as references
from common.storage_keys import parse_key
from common.webhook import ENDS

SQL = Queries(Path(__file__).with_name("jobs.sql"))

_WORKER_LOST = "worker_lost"


class Tokens(msgspec.Struct, frozen=True):
    """Jobs that may be claimed, those of them that have waited for long, and tokens that are still in the outbox."""

    claimable: int
    waiting: int
    unpublished: int


class Owner(msgspec.Struct, frozen=True):
    """What a job says about its objects: `leases` are those under which results may lie (running attempt and winner)."""

    status: Status
    leases: frozenset[LeaseToken]


class Holding(msgspec.Struct, frozen=True):
    """What a job should have in the store: its recording, unless that was deleted or replaced, and its result's `keys`, by name.

    `lost`: what was not there when somebody looked.
    """

    id: JobId
    status: Status
    audio_deleted_at: datetime | None
    lost: tuple[str, ...]
    keys: dict[str, str]
    redact: bool


async def create(  # noqa: PLR0913 - what a row is made of, by name
    connection: Connection,
    *,
    job_id: JobId,
    tenant: str,
    options: Options,
    source: Source,
    retention: timedelta,
    max_attempts: int,
    trace: str | None,
    cache: Cache | None = None,
) -> Job:
    """(new) -> queued. Call only when the recording is in the bucket. Raises `OptionError` for a lexicon that the tenant does not have."""
    async with connection.transaction():
        await connection.execute(SQL["lock_tail"], tenant)
        row = await connection.fetchrow(
            SQL["create_job"],
            job_id,
            tenant,
            PRIORITIES.index(options.priority),
            stored(options),
            source,
            retention,
            max_attempts,
            trace,
            estimated_seconds(source) if source.duration is None else source.duration,
            source.duration is not None,
            cache,
        )
        job = from_row(row)
        if options.lexicon_id is not None and not await lexicons.freeze(connection, job_id, options.lexicon_id, tenant):
            raise OptionError("lexicon_id", f"there is no lexicon {options.lexicon_id}")
        if isinstance(options.reference, tuple) and options.reference:
            await references.keep(connection, job_id, options.reference)
        await _announce(connection, "job.created", job)
    return job


async def reusable(connection: Connection, tenant: str, sha256: str, options: Options) -> Job | None:
    """The tenant's latest completed job with this recording and the same options, as far as they make a difference."""
    wanted = {name: value for name, value in msgspec.to_builtins(stored(options)).items() if name not in ASIDE}
    row = await connection.fetchrow(SQL["find_reusable"], tenant, sha256, list(ASIDE), wanted)
    return None if row is None else from_row(row)


async def reuse(connection: Connection, job: Job, result: Result) -> Job:
    """queued -> completed, in the transaction that creates the job. Call only when the result's copy is in the bucket."""
    reused = await _change(connection, "job.completed", "reuse_result", job.id, result, result.duration)
    assert reused is not None  # nobody else has seen the job yet
    return reused


async def get(connection: Connection, job_id: JobId, tenant: str) -> Job | None:
    """The job, if it is this tenant's."""
    row = await connection.fetchrow(SQL["get_job"], job_id, tenant)
    return None if row is None else from_row(row)


async def get_many(connection: Connection, asked: Sequence[tuple[JobId, str]]) -> dict[tuple[JobId, str], Job]:
    """Of the jobs and tenants asked for those that belong together, each once."""
    rows = await connection.fetch(SQL["get_jobs"], *zip(*set(asked), strict=True)) if asked else []
    return {(job.id, job.tenant): job for job in map(from_row, rows)}


async def claim(
    connection: Connection,
    token: LeaseToken,
    *,
    lease: timedelta,
    worker: str,
    jobs_per_tenant: int | None = None,
    longest: float | None = None,
) -> Job | None:
    """queued -> processing: the best job there is, leased to `token`; None when nothing may be claimed now.

    The best is the first by band, round and id. With `jobs_per_tenant`, of a tenant that has fewer jobs than that in the works. With
    `longest`, in seconds of audio, nothing is claimed when the best job is longer: no job is passed over for its length.
    """
    async with connection.transaction():
        if jobs_per_tenant is None:
            return await _change(connection, "job.started", "claim_job", token, lease, worker, longest)
        await connection.execute(SQL["lock_claims"])
        return await _change(connection, "job.started", "claim_job_within_limit", token, lease, worker, longest, jobs_per_tenant)


async def renew(
    connection: Connection, job: Job, *, lease: timedelta, stage: str, progress: float, duration: float | None = None
) -> Job | None:
    """Extend the lease and record progress (0-100) and, once it is known, the true duration in seconds.

    None when the job is no longer ours (cancelled, rescued, deleted).
    """
    row = await connection.fetchrow(SQL["renew_lease"], job.id, job.lease_token, lease, stage, progress, duration)
    return None if row is None else from_row(row)


async def finish(connection: Connection, job: Job, result: Result) -> Job | None:
    """processing -> completed."""
    async with connection.transaction():
        return await _change(connection, "job.completed", "finish_job", job.id, job.lease_token, result, result.duration)


async def fail(connection: Connection, job: Job, failure: Failure) -> Job | None:
    """processing -> failed."""
    async with connection.transaction():
        return await _change(connection, "job.failed", "fail_job", job.id, job.lease_token, failure)


async def retry(connection: Connection, job: Job, failure: Failure, delay: timedelta) -> Job | None:
    """processing -> queued after a transient failure; None also when no attempts are left (then `fail`)."""
    async with connection.transaction():
        return await _change(connection, "job.requeued", "retry_job", job.id, job.lease_token, failure, delay, delay=delay)


async def release(connection: Connection, job: Job) -> Job | None:
    """processing -> queued on our own shutdown: no attempt is spent."""
    async with connection.transaction():
        return await _change(connection, "job.requeued", "release_job", job.id, job.lease_token)


async def cancel(connection: Connection, job_id: JobId, tenant: str) -> Job | None:
    """uploading | queued | processing -> cancelled."""
    async with connection.transaction():
        return await _change(connection, "job.cancelled", "cancel_job", job_id, tenant)


async def resubmit(connection: Connection, job_id: JobId, tenant: str) -> Job | None:
    """failed | cancelled -> queued, with all attempts given anew. Call only when the recording is still in the bucket.

    None also when the job's time is over, as its recording then may be going.
    """
    async with connection.transaction():
        await connection.execute(SQL["lock_tail"], tenant)
        return await _change(connection, "job.requeued", "resubmit_job", job_id, tenant)


async def resumable(connection: Connection, *, after: Job | None, limit: int) -> list[Job]:
    """Failed jobs of all tenants that another attempt may mend; a page of them, following the job `after`."""
    key = (None, None) if after is None else (after.finished_at, after.id)
    return [from_row(row) for row in await connection.fetch(SQL["resumable_jobs"], limit, *key)]


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


async def purge(connection: Connection, *, older_than: timedelta, limit: int) -> list[Job]:
    """expired -> (gone), for tombstones older than that."""
    async with connection.transaction():
        jobs = [from_row(row) for row in await connection.fetch(SQL["old_tombstones"], older_than, limit)]
        await _announce_all(connection, "job.deleted", jobs)
    return jobs


async def purge_receipts(connection: Connection, *, older_than: timedelta, limit: int) -> list[datetime]:
    """Forget receipts of deleted jobs; returns from when they were."""
    return [row["deleted_at"] for row in await connection.fetch(SQL["old_receipts"], older_than, limit)]


async def rescue(connection: Connection, *, limit: int) -> list[Job]:
    """processing -> queued (or failed, when attempts are used up) for jobs whose lease ran out."""
    lost = Failure(_WORKER_LOST, "The worker stopped responding while it had this job.", retryable=True)
    async with connection.transaction():
        jobs = [from_row(row) for row in await connection.fetch(SQL["rescue_jobs"], limit, lost)]
        for job in jobs:
            await _announce(connection, "job.failed" if job.status is Status.FAILED else "job.requeued", job)
    return jobs


async def fail_poisonous(connection: Connection, job_ids: Sequence[JobId], failure: Failure) -> list[Job]:
    """queued -> failed for those of the jobs that have lost a worker before."""
    async with connection.transaction():
        rows = await connection.fetch(SQL["fail_poisonous_jobs"], list(job_ids), failure, _WORKER_LOST)
        jobs = [from_row(row) for row in rows]
        await _announce_all(connection, "job.failed", jobs)
    return jobs


async def lift(connection: Connection, *, older_than: timedelta, limit: int) -> list[Job]:
    """One band up for jobs that have waited in theirs for longer than `older_than`: of each tenant one at a time."""
    return [from_row(row) for row in await connection.fetch(SQL["lift_jobs"], older_than, limit)]


async def pass_on(connection: Connection, tenant: str) -> Job | None:
    """A token for the tenant's next job, if it has one: tokens that came while the tenant was at its limit found nothing and are gone."""
    async with connection.transaction():
        return await _change(connection, "job.requeued", "next_of_tenant", tenant)


async def tokens(connection: Connection, *, older_than: timedelta) -> Tokens:
    """What there is to claim, and the tokens for it that the broker does not have yet."""
    [row] = await connection.fetch(SQL["count_tokens"], older_than)
    return msgspec.convert(dict(row), Tokens)


async def reissue(connection: Connection, *, older_than: timedelta, limit: int) -> list[Job]:
    """A new token for up to `limit` queued jobs that have waited for longer than `older_than`."""
    async with connection.transaction():
        jobs = [from_row(row) for row in await connection.fetch(SQL["tokenless_jobs"], older_than, limit)]
        await _announce_all(connection, "job.requeued", jobs)
    return jobs


async def due_to_expire(connection: Connection, *, after: Job | None, limit: int) -> list[Job]:
    """Finished jobs past their time, whose bytes must go before `expire`; a page of them, following the job `after`."""
    key = (None, None) if after is None else (after.expires_at, after.id)
    return [from_row(row) for row in await connection.fetch(SQL["expired_jobs"], limit, *key)]


async def delivered(connection: Connection, *, after: Job | None, limit: int) -> list[Job]:
    """The same, of jobs of which nothing is kept after delivery, once all is delivered or given up."""
    key = (None, None) if after is None else (after.expires_at, after.id)
    return [from_row(row) for row in await connection.fetch(SQL["delivered_jobs"], limit, *key, list(ENDS))]


async def being_uploaded(connection: Connection, job_ids: Sequence[JobId]) -> set[JobId]:
    """Those of the jobs whose result is still to be uploaded to where its submitter wanted it."""
    return {row["job_id"] for row in await connection.fetch(SQL["uploading_jobs"], list(job_ids))}


async def expire(connection: Connection, jobs: Sequence[Job]) -> list[Job]:
    """completed | failed | cancelled -> expired, with a receipt; those that still were due. Call only when their bytes are gone."""
    async with connection.transaction():
        now = await connection.fetchval("select now()")
        receipts = [receipt(job, "expired", now) for job in jobs]
        rows = await connection.fetch(SQL["expire_jobs"], [job.id for job in jobs], receipts)
        expired = [from_row(row) for row in rows]
        await _announce_all(connection, "job.expired", expired)
    return expired


async def untold(connection: Connection, *, older_than: timedelta, reach: timedelta, limit: int) -> list[Job]:
    """Jobs whose end somebody wants to be told of and, as far as Postgres knows, was not; ended between `reach` and `older_than` ago."""
    return [from_row(row) for row in await connection.fetch(SQL["untold_jobs"], older_than, reach, limit)]


async def retell(connection: Connection, *, older_than: timedelta, reach: timedelta, limit: int) -> list[Job]:
    """Announce their ends again, as the events that they were."""
    async with connection.transaction():
        jobs = await untold(connection, older_than=older_than, reach=reach, limit=limit)
        for job in jobs:
            await _announce(connection, f"job.{job.status}", job)
    return jobs


async def recordings_over(connection: Connection, older_than: timedelta, *, after: Job | None, limit: int) -> list[Job]:
    """Jobs that ended longer ago than that and still have their recording; a page of them, following the job `after`."""
    return await _recorded(connection, "recordings_over", after, limit, older_than)


async def recordings_transcribed(connection: Connection, *, after: Job | None, limit: int) -> list[Job]:
    """The same of all that are completed."""
    return await _recorded(connection, "recordings_transcribed", after, limit)


async def recordings_replaced(connection: Connection, *, after: Job | None, limit: int) -> list[Job]:
    """The same of those that have a redacted copy in the recording's place."""
    return await _recorded(connection, "recordings_replaced", after, limit)


async def forget_recordings(connection: Connection, job_ids: Sequence[JobId]) -> int:
    """Note that they are gone; returns for how many of the jobs that is news. Call only when they are gone."""
    return len(await connection.fetch(SQL["forget_recordings"], list(job_ids)))


async def holdings(connection: Connection, *, after: JobId | None, limit: int) -> list[Holding]:
    """Jobs that must have objects in the store; a page of them, following the id `after`."""
    return [msgspec.convert(dict(row), Holding) for row in await connection.fetch(SQL["holdings"], limit, after)]


async def mark_lost(connection: Connection, lost: Mapping[JobId, Sequence[str]]) -> set[JobId]:
    """Say of each job what the store has lost of it, nothing included; those for which that is news."""
    rows = await connection.fetch(SQL["mark_lost"], list(lost), [",".join(names) for names in lost.values()])
    return {row["id"] for row in rows}


async def lost_since(connection: Connection) -> datetime | None:
    """When the first of the leases that have run out did."""
    since: datetime | None = await connection.fetchval(SQL["lost_since"])
    return since


async def tell_upload(connection: Connection, job_id: JobId, upload: Upload) -> None:
    """What came of the upload of its result. It changes nothing about the job, so no event tells it."""
    await connection.execute(SQL["tell_upload"], job_id, upload)


async def counts(connection: Connection) -> dict[str, int]:
    """Jobs per status."""
    return {row["status"]: row["jobs"] for row in await connection.fetch(SQL["count_jobs"])}


async def owners(connection: Connection, ids: Iterable[JobId]) -> dict[JobId, Owner]:
    """Those of `ids` that are jobs; what lies in the bucket under any other is nobody's."""
    return {row["id"]: _owner(row) for row in await connection.fetch(SQL["job_owners"], list(ids))}


def _owner(row: asyncpg.Record) -> Owner:
    keys = (row["result"] or {}).get("keys", {}).values()
    won = {place.lease for key in keys if (place := parse_key(key)) is not None}
    return Owner(Status(row["status"]), frozenset({*won, row["lease_token"]} - {None}))


async def _recorded(connection: Connection, query: str, after: Job | None, limit: int, *arguments: object) -> list[Job]:
    key = (None, None) if after is None else (after.finished_at, after.id)
    return [from_row(row) for row in await connection.fetch(SQL[query], limit, *key, *arguments)]


async def _deleted(connection: Connection, jobs: Sequence[Job]) -> list[Job]:
    """Keep receipts for jobs whose rows have gone, and announce it, within the caller's transaction."""
    now = await connection.fetchval("select now()")
    gone = [msgspec.structs.replace(job, receipt=receipt(job, "deleted", now)) for job in jobs]
    if gone:
        rows = [job.id for job in gone], [job.tenant for job in gone], [job.receipt for job in gone]
        await connection.execute(SQL["keep_receipts"], *rows)
        await _announce_all(connection, "job.deleted", gone)
    return gone


async def _change(connection: Connection, event: str, query: str, *arguments: object, delay: timedelta = timedelta(0)) -> Job | None:
    """Run a guarded statement inside the caller's transaction and announce what it changed."""
    row = await connection.fetchrow(SQL[query], *arguments)
    if row is None:
        return None
    job = from_row(row)
    await _announce(connection, event, job, delay=delay)
    return job


async def _announce(connection: Connection, event: str, job: Job, *, delay: timedelta = timedelta(0)) -> None:
    """Put the event into the outbox, within the caller's transaction."""
    data = msgspec.json.encode(public(job))
    await outbox.add(connection, event, subject=str(job.id), data=data, delay=delay, trace=job.trace, event_id=_event_id(event, job))


async def _announce_all(connection: Connection, event: str, jobs: Sequence[Job]) -> None:
    """The same for many."""
    if jobs:
        news = [News(_event_id(event, job), str(job.id), msgspec.json.encode(public(job)), job.trace) for job in jobs]
        await outbox.add_many(connection, event, news)


def _event_id(event: str, job: Job) -> EventId:
    """An end's follows from the job, so that telling it again is telling the same."""
    return EventId(uuid5(job.id, f"{event} {job.revision}") if event in ENDS else ids.new())
