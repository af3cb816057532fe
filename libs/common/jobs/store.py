"""How a job changes. Every function is one guarded statement plus its event, in one transaction.

A write that finds the job no longer in the expected status, or leased to someone else, changes nothing and returns None: duplicates,
redeliveries and workers that wake from the dead all end there (design section 2, invariants 2 and 4).
"""

from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

import msgspec

from common.database import Connection, Queries
from common.ids import JobId, LeaseToken
from common.jobs.announcing import announce, change
from common.jobs.duration import estimated_seconds
from common.jobs.job import Cache, Failure, Job, Result, Source, Upload, from_row
from common.jobs.kind import Kind
from common.jobs.options import ASIDE, PRIORITIES, OptionError, Options, stored
from common.lexicons import store as lexicons
from common.references import store as references

SQL = Queries(Path(__file__).with_name("store.sql"))


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
        await announce(connection, "job.created", job)
    return job


async def reusable(connection: Connection, tenant: str, sha256: str, options: Options) -> Job | None:
    """The tenant's latest completed job with this recording and the same options, as far as they make a difference."""
    wanted = {name: value for name, value in msgspec.to_builtins(stored(options)).items() if name not in ASIDE}
    row = await connection.fetchrow(SQL["find_reusable"], tenant, sha256, list(ASIDE), wanted)
    return None if row is None else from_row(row)


async def reuse(connection: Connection, job: Job, result: Result, kind: Kind) -> Job:
    """queued -> completed, in the transaction that creates the job. Call only when the result's copy is in the bucket."""
    reused = await change(connection, "job.completed", SQL["reuse_result"], job.id, result, result.duration, kind)
    assert reused is not None  # nobody else has seen the job yet
    return reused


async def get(connection: Connection, job_id: JobId, tenant: str) -> Job | None:
    """The job, if it is this tenant's."""
    row = await connection.fetchrow(SQL["get_job"], job_id, tenant)
    return None if row is None else from_row(row)


async def get_many(connection: Connection, asked: Collection[tuple[JobId, str]]) -> dict[tuple[JobId, str], Job]:
    """Of the jobs and tenants asked for, no pair twice, those that belong together."""
    rows = await connection.fetch(SQL["get_jobs"], *zip(*asked, strict=True)) if asked else []
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
            return await change(connection, "job.started", SQL["claim_job"], token, lease, worker, longest)
        await connection.execute(SQL["lock_claims"])
        return await change(connection, "job.started", SQL["claim_job_within_limit"], token, lease, worker, longest, jobs_per_tenant)


async def held(connection: Connection, token: LeaseToken) -> Job | None:
    """The job that is leased to `token`, if any is."""
    row = await connection.fetchrow(SQL["job_held"], token)
    return None if row is None else from_row(row)


async def renew(
    connection: Connection,
    job: Job,
    *,
    lease: timedelta,
    stage: str,
    progress: float,
    duration: float | None = None,
    kind: Kind | None = None,
) -> Job | None:
    """Extend the lease and record progress (0-100) and, once they are known, the true duration in seconds and the kind.

    None when the job is no longer ours (cancelled, rescued, deleted).
    """
    row = await connection.fetchrow(SQL["renew_lease"], job.id, job.lease_token, lease, stage, progress, duration, kind)
    return None if row is None else from_row(row)


async def finish(connection: Connection, job: Job, result: Result, kind: Kind | None = None) -> Job | None:
    """processing -> completed; `kind` as the decoder found it."""
    async with connection.transaction():
        return await change(connection, "job.completed", SQL["finish_job"], job.id, job.lease_token, result, result.duration, kind)


async def fail(connection: Connection, job: Job, failure: Failure) -> Job | None:
    """processing -> failed."""
    async with connection.transaction():
        return await change(connection, "job.failed", SQL["fail_job"], job.id, job.lease_token, failure)


async def retry(connection: Connection, job: Job, failure: Failure, delay: timedelta) -> Job | None:
    """processing -> queued after a transient failure; None also when no attempts are left (then `fail`)."""
    async with connection.transaction():
        return await change(connection, "job.requeued", SQL["retry_job"], job.id, job.lease_token, failure, delay, delay=delay)


async def release(connection: Connection, job: Job) -> Job | None:
    """processing -> queued on our own shutdown: no attempt is spent."""
    async with connection.transaction():
        return await change(connection, "job.requeued", SQL["release_job"], job.id, job.lease_token)


async def cancel(connection: Connection, job_id: JobId, tenant: str) -> Job | None:
    """uploading | queued | processing -> cancelled."""
    async with connection.transaction():
        return await change(connection, "job.cancelled", SQL["cancel_job"], job_id, tenant)


async def resubmit(connection: Connection, job_id: JobId, tenant: str) -> Job | None:
    """failed | cancelled -> queued, with all attempts given anew. Call only when the recording is still in the bucket.

    None also when its recording was deleted, or the job's time is over, as its recording then may be going.
    """
    async with connection.transaction():
        await connection.execute(SQL["lock_tail"], tenant)
        return await change(connection, "job.requeued", SQL["resubmit_job"], job_id, tenant)


async def resumable(connection: Connection, *, after: Job | None, limit: int) -> list[Job]:
    """Failed jobs of all tenants that another attempt may mend; a page of them, following the job `after`."""
    key = (None, None) if after is None else (after.finished_at, after.id)
    return [from_row(row) for row in await connection.fetch(SQL["resumable_jobs"], limit, *key)]


async def lock(connection: Connection, job_id: JobId) -> None:
    """Until the end of the transaction nobody else changes the job. The first lock of whoever changes deliveries and then tells the job."""
    await connection.execute(SQL["lock"], job_id)


async def tell_upload(connection: Connection, job_id: JobId, upload: Upload) -> None:
    """What came of the upload of its result, to a job that is locked. It changes nothing about the job, so no event tells it."""
    await connection.execute(SQL["tell_upload"], job_id, upload)


async def counts(connection: Connection) -> dict[str, int]:
    """Jobs per status."""
    return {row["status"]: row["jobs"] for row in await connection.fetch(SQL["count_jobs"])}
