"""How a job changes. Every function is one guarded statement plus its event, in one transaction.

A write that finds the job no longer in the expected status, or leased to someone else, changes nothing and returns None: duplicates,
redeliveries and workers that wake from the dead all end there (design section 2, invariants 2 and 4).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import msgspec

from common import outbox
from common.database import Connection, Queries
from common.ids import JobId, LeaseToken
from common.jobs.document import public
from common.jobs.duration import estimated_seconds
from common.jobs.job import Cache, Failure, Job, Result, Source, Status, from_row
from common.jobs.options import ASIDE, PRIORITIES, OptionError, Options, stored
from common.lexicons import store as lexicons
from common.references import store as references
from common.storage_keys import parse_key

SQL = Queries(Path(__file__).with_name("jobs.sql"))


class Tokens(msgspec.Struct, frozen=True):
    """Jobs that may be claimed, those of them that have waited for long, and tokens that are still in the outbox."""

    claimable: int
    waiting: int
    unpublished: int


class Owner(msgspec.Struct, frozen=True):
    """What a job says about its objects: `leases` are those under which results may lie (running attempt and winner).

    `redact`: only a redacted copy of the recording may be left once there is one.
    """

    status: Status
    finished_at: datetime | None
    leases: frozenset[LeaseToken]
    redact: bool = False


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


async def keep(connection: Connection, job_id: JobId, tenant: str, least: timedelta) -> None:
    """Let the job's result stay for so long at least, whatever was asked for when it was submitted."""
    await connection.execute(SQL["keep_result"], job_id, tenant, least)


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
    """completed | failed | cancelled | expired -> (gone). Call only when the job is condemned and its bytes are gone."""
    async with connection.transaction():
        return await _change(connection, "job.deleted", "delete_job", job_id, tenant)


async def delete_many(connection: Connection, job_ids: Iterable[JobId], tenant: str) -> list[Job]:
    """The same for many."""
    async with connection.transaction():
        jobs = [from_row(row) for row in await connection.fetch(SQL["delete_jobs"], list(job_ids), tenant)]
        for job in jobs:
            await _announce(connection, "job.deleted", job)
    return jobs


async def rescue(connection: Connection, *, limit: int) -> list[Job]:
    """processing -> queued (or failed, when attempts are used up) for jobs whose lease ran out."""
    lost = Failure("worker_lost", "The worker stopped responding while it had this job.", retryable=True)
    async with connection.transaction():
        jobs = [from_row(row) for row in await connection.fetch(SQL["rescue_jobs"], limit, lost)]
        for job in jobs:
            await _announce(connection, "job.failed" if job.status is Status.FAILED else "job.requeued", job)
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
        for job in jobs:
            await _announce(connection, "job.requeued", job)
    return jobs


async def due_to_expire(connection: Connection, *, after: Job | None, limit: int) -> list[Job]:
    """Finished jobs past their time, whose bytes must go before `expire`; a page of them, following the job `after`."""
    key = (None, None) if after is None else (after.expires_at, after.id)
    return [from_row(row) for row in await connection.fetch(SQL["expired_jobs"], limit, *key)]


async def expire(connection: Connection, job_id: JobId) -> Job | None:
    """completed | failed | cancelled -> expired. Call only when the bytes are gone."""
    async with connection.transaction():
        return await _change(connection, "job.expired", "expire_job", job_id)


async def counts(connection: Connection) -> dict[str, int]:
    """Jobs per status."""
    return {row["status"]: row["jobs"] for row in await connection.fetch(SQL["count_jobs"])}


async def owners(connection: Connection, ids: Iterable[JobId]) -> dict[JobId, Owner]:
    """Those of `ids` that are jobs; what lies in the bucket under any other is nobody's."""
    return {row["id"]: _owner(row) for row in await connection.fetch(SQL["job_owners"], list(ids))}


def _owner(row: asyncpg.Record) -> Owner:
    keys = (row["result"] or {}).get("keys", {}).values()
    won = {place.lease for key in keys if (place := parse_key(key)) is not None}
    return Owner(Status(row["status"]), row["finished_at"], frozenset({*won, row["lease_token"]} - {None}), row["redact"])


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
    await outbox.add(connection, event, subject=str(job.id), data=data, delay=delay, trace=job.trace)
