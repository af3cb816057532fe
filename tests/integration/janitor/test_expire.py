"""Finished jobs past their time: bytes first, then the row, and each job once."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from common import ids
from common.cleanup import Report
from common.database import Pool
from common.envelope import Event
from common.errors import Refused
from common.ids import EventId
from common.jobs import removal, store
from common.jobs.job import Job, Status
from common.storage import Storage
from common.storage_keys import RESULTS, checkpoint_key, source_key
from common.webhook import EventType
from services.janitor.duties.expire import Delivered, Expire
from services.janitor.duty import Sweep
from services.janitor.sweeper import Sweeper
from services.notifier.intake import Intake
from tests.jobs import BROKEN, TRANSCRIPT, Announced, announced, claimed, finished, finished_with_bytes, forget_events, queued, reread

PAST = timedelta(seconds=-1)


async def keys(storage: Storage) -> set[str]:
    return {found.key async for found in storage.objects()}


async def sweep(sweeper: Sweeper, storage: Storage, *, dry_run: bool = False) -> Report:
    report = await sweeper.sweep(Expire(storage), dry_run=dry_run)
    assert report is not None
    return report


class Reluctant(Storage):
    """A bucket that will not give up what lies under one prefix."""

    def __init__(self, storage: Storage, kept: str) -> None:
        super().__init__(storage._client, storage.bucket)
        self._kept = kept

    async def delete_each(self, keys: Iterable[str]) -> dict[str, Refused]:
        asked = list(keys)
        kept = [key for key in asked if key.startswith(self._kept)]
        refused = Refused("storage_unavailable", "The store did not delete 1 object.")
        return dict.fromkeys(kept, refused) | await super().delete_each(key for key in asked if key not in kept)


async def test_a_due_job_loses_its_bytes_and_leaves_a_tombstone(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """All its bytes are gone, also those of losing attempts, the row says so with a receipt, and `job.expired` is announced.

    A job not due is whole.
    """
    async with pool.acquire() as connection:
        due = await finished_with_bytes(connection, storage, retention=PAST)
        await connection.execute("update jobs set queued_at = now() + interval '1 second'")  # for another attempt
        for left in (f"{RESULTS}{due.id}.{due.id}.transcript.json", checkpoint_key(due.id, "align")):
            await storage.put(left, b"{}", content_type="application/json")
        before = await keys(storage)
        kept = await finished_with_bytes(connection, storage)
        await forget_events(connection)

        report = await sweep(sweeper, storage)

        assert (report.scanned, report.swept, report.failed, report.complete) == (1, 1, 0, True)
        tombstone = await reread(connection, due)
        assert (tombstone.status, tombstone.result) == (Status.EXPIRED, None)
        assert tombstone.receipt == await removal.receipt_of(connection, due.id, due.tenant)
        assert tombstone.receipt is not None
        gone = {(each.what, each.size, each.sha256) for each in tombstone.receipt.objects}
        assert gone == {("recording", due.source.size, due.source.sha256), ("transcript", TRANSCRIPT.size, TRANSCRIPT.sha256)}
        assert {each.deleted_at for each in tombstone.receipt.objects} == {tombstone.expired_at}
        assert tombstone.source == due.source
        assert await keys(storage) == {key for key in await keys(storage) if str(kept.id) in key}
        assert len(before & await keys(storage)) == 0
        assert len(await keys(storage)) == 2
        assert await reread(connection, kept) == kept
        assert await announced(connection) == [Announced("job.expired", str(due.id))]


async def test_failed_jobs_expire_too(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """Their recording is kept for as long as a result would be, and no longer."""
    async with pool.acquire() as connection:
        job = await queued(connection, retention=PAST)
        await storage.put(source_key(job.id), b"RIFF", content_type="audio/wav")
        await store.fail(connection, await claimed(connection), BROKEN)
        await sweep(sweeper, storage)
        assert (await reread(connection, job)).status is Status.EXPIRED
    assert await keys(storage) == set()


async def test_a_row_is_not_forgotten_before_its_bytes_are_gone(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """A store that fails leaves the job as it is, and the sweep says why."""
    async with pool.acquire() as connection:
        job = await finished_with_bytes(connection, storage, retention=PAST)
        await forget_events(connection)
        missing = Storage(storage._client, "test-no-such-bucket")

        report = await sweep(sweeper, missing)

        assert report.error is not None
        assert (report.scanned, report.swept, report.failed) == (1, 0, 1)
        assert report.backlog_seconds >= 1
        assert await reread(connection, job) == job
        assert await announced(connection) == []


async def test_one_job_that_cannot_be_emptied_holds_up_no_other(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """The oldest due job stays, those behind it expire."""
    async with pool.acquire() as connection:
        stuck, *others = [await finished_with_bytes(connection, storage, retention=PAST) for _ in range(4)]

        report = await sweep(sweeper, Reluctant(storage, f"{RESULTS}{stuck.id}."))

        assert (report.scanned, report.swept, report.failed) == (4, 3, 1)
        assert await reread(connection, stuck) == stuck
        assert {(await reread(connection, job)).status for job in others} == {Status.EXPIRED}
        assert (await sweep(sweeper, storage)).swept == 1


async def test_a_page_of_which_nothing_can_be_emptied_holds_up_no_other(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """A job that is held in the store, alone among those of which nothing is kept after delivery: whatever else is due expires."""
    async with pool.acquire() as connection:
        stuck = await finished_with_bytes(connection, storage, retention=timedelta(0))
        await connection.execute("update jobs set expires_at = now() - interval '1 hour'")
        other = await finished_with_bytes(connection, storage, retention=PAST)
        report = await sweep(sweeper, Reluctant(storage, source_key(stuck.id)))
        assert (report.scanned, report.swept, report.failed, report.error) == (2, 1, 1, None)
        assert report.backlog_seconds >= 3_600
        assert {(await reread(connection, job)).status for job in (stuck, other)} == {Status.COMPLETED, Status.EXPIRED}


async def test_a_sweep_that_was_killed_in_the_middle_is_finished_by_the_next(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """Bytes already gone, row not yet: the next sweep finds nothing to delete and forgets the row."""
    async with pool.acquire() as connection:
        job = await finished_with_bytes(connection, storage, retention=PAST)
        await storage.delete_prefix("")
        assert (await sweep(sweeper, storage)).swept == 1
        assert (await reread(connection, job)).status is Status.EXPIRED


async def test_a_dry_run_counts_everything_and_keeps_it(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """More than a batch is looked through, nothing goes, nothing is announced."""
    async with pool.acquire() as connection:
        for _ in range(120):
            await queued(connection, retention=PAST)
            await finished(connection, await claimed(connection))
        whole = await finished_with_bytes(connection, storage, retention=PAST)
        await forget_events(connection)
        before = await keys(storage)

        report = await sweep(sweeper, storage, dry_run=True)

        assert (report.scanned, report.swept, report.complete) == (121, 121, True)
        assert await keys(storage) == before
        assert await reread(connection, whole) == whole
        assert await announced(connection) == []


async def due_jobs(pool: Pool, storage: Storage, count: int) -> list[Job]:
    async with pool.acquire() as connection:
        jobs = [await finished_with_bytes(connection, storage, retention=PAST) for _ in range(count)]
        await forget_events(connection)
    return jobs


async def test_two_janitors_at_once_expire_each_job_once(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """One sweeps, the other finds the duty taken; every job is announced once."""
    jobs = await due_jobs(pool, storage, 30)
    other = Sweeper(pool, asyncio.Event())
    reports = await asyncio.gather(sweeper.sweep(Expire(storage)), other.sweep(Expire(storage)))
    assert sum(report.swept for report in reports if report is not None) == len(jobs)
    async with pool.acquire() as connection:
        assert sorted(event.subject for event in await announced(connection)) == sorted(str(job.id) for job in jobs)
    assert await keys(storage) == set()


async def test_without_the_lock_each_job_still_expires_once(pool: Pool, storage: Storage) -> None:
    """Two janitors that both believe to have the lock, as after a lost connection, harm nothing."""
    jobs = await due_jobs(pool, storage, 30)

    async def work() -> int:
        async with pool.acquire() as connection:
            now = await connection.fetchval("select now()")
            return sum([counts.swept async for counts in Expire(storage).batches(Sweep(connection, now, dry_run=False))])

    assert sum(await asyncio.gather(*(work() for _ in range(3)))) == len(jobs)
    async with pool.acquire() as connection:
        assert sorted(event.subject for event in await announced(connection)) == sorted(str(job.id) for job in jobs)


@pytest.mark.parametrize("status", [Status.QUEUED, Status.PROCESSING])
async def test_a_job_that_is_not_over_never_expires(pool: Pool, storage: Storage, sweeper: Sweeper, status: Status) -> None:
    """However old it is and whatever its expiry says."""
    async with pool.acquire() as connection:
        await queued(connection, retention=PAST)
        if status is Status.PROCESSING:
            await claimed(connection)
        await connection.execute("update jobs set expires_at = now() - interval '1 hour'")
        assert (await sweep(sweeper, storage)).scanned == 0


async def test_how_late_it_is_can_be_told(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """The age of the oldest job that was due; nothing once there is none."""
    async with pool.acquire() as connection:
        await finished_with_bytes(connection, storage, retention=PAST)
        await connection.execute("update jobs set expires_at = now() - interval '1 hour'")
    for least in (3_600, 0):
        await sweep(sweeper, storage)
        told = REGISTRY.get_sample_value("verbatim_duty_backlog_seconds", {"duty": "expire"})
        assert told is not None
        assert least <= told < least + 600


async def told(pool: Pool, job: Job, event_type: EventType) -> None:
    """The notifier has heard how it ended."""
    event = Event(id=EventId(ids.new()), type=event_type, source="/", subject=str(job.id), time=job.created_at, data=b"{}")
    await Intake(pool).handle(event)


async def test_nothing_is_kept_after_delivery_and_all_until_then(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """A job with a retention of 0 goes once its webhook is delivered or given up; not before, and not while nobody has heard of its end."""
    async with pool.acquire() as connection:
        job = await finished_with_bytes(connection, storage, retention=timedelta(0), webhook_url="https://example.com/hook")
        for state in (None, "pending", "failed"):
            assert (await sweep(sweeper, storage)).scanned == 0
            if state == "pending":
                await told(pool, job, "job.completed")
            elif state is not None:
                await connection.execute("update deliveries set state = $1, finished_at = now()", state)
        report = await sweeper.sweep(Delivered(storage))
        assert report is not None
        assert (report.swept, report.error) == (1, None)
        assert (await reread(connection, job)).status is Status.EXPIRED
    assert await keys(storage) == set()


async def test_a_paused_endpoint_holds_nothing(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """Nobody knows for how long it is paused; one that is enabled is waited for, and so is the job's own webhook."""
    async with pool.acquire() as connection:
        await connection.execute(
            "insert into endpoints (id, tenant, url, events, description, status)"
            " values (gen_random_uuid(), 'default', 'https://example.com/all', '{job.completed}', '', 'enabled')"
        )
        job = await finished_with_bytes(connection, storage, retention=timedelta(0), webhook_url="https://example.com/hook")
        await told(pool, job, "job.completed")
        await connection.execute("update deliveries set state = 'delivered', finished_at = now() where endpoint_id is null")
        assert (await sweep(sweeper, storage)).scanned == 0
        await connection.execute("update endpoints set status = 'paused'")
        assert (await sweep(sweeper, storage)).swept == 1


async def test_a_job_that_is_due_cannot_be_tried_again(pool: Pool) -> None:
    """Its bytes may be going at this moment."""
    async with pool.acquire() as connection:
        job = await queued(connection, retention=PAST)
        await store.fail(connection, await claimed(connection), BROKEN)
        assert await store.resubmit(connection, job.id, job.tenant) is None


async def test_a_result_that_is_kept_for_no_time_can_be_fetched_by_who_waits_for_it(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """Where nothing is to be delivered, it is there for a minute."""
    async with pool.acquire() as connection:
        await finished_with_bytes(connection, storage, retention=timedelta(0))
        assert (await sweep(sweeper, storage)).scanned == 0
        await connection.execute("update jobs set expires_at = now() - interval '61 seconds'")
        assert (await sweep(sweeper, storage)).swept == 1


async def wants(pool: Pool, job: Job, **options: str) -> Job:
    """As if it had been submitted with them."""
    await pool.execute("update jobs set options = options || $2 where id = $1", job.id, options)
    return job


async def endpoint(pool: Pool, tenant: str) -> None:
    """One that is told of what is heard."""
    await pool.execute(
        "insert into endpoints (id, tenant, url, events, description, payload, created_at) values"
        " (gen_random_uuid(), $1, 'https://example.com/all', '{job.completed}', '', 'full', '2020-01-01')",
        tenant,
    )


URL = "https://example.com/x"
PROMISES = {
    "uploaded": {"upload_presigned_url": URL},
    "in its webhook": {"webhook_url": URL, "webhook_payload": "full"},
    "in a tenant's": {},
}


@pytest.mark.parametrize("promise", PROMISES)
async def test_a_result_waits_for_a_notifier_that_is_away(pool: Pool, storage: Storage, sweeper: Sweeper, promise: str) -> None:
    """What was promised to somebody does not expire before it was sent, or can only have been forgotten; else a job goes at its time."""
    await endpoint(pool, "default" if promise == "in a tenant's" else "another")
    async with pool.acquire() as connection:
        job = await wants(pool, await finished_with_bytes(connection, storage, retention=PAST), **PROMISES[promise])
        assert (await sweep(sweeper, storage)).scanned == 0
        await told(pool, job, "job.completed")
        assert (await sweep(sweeper, storage)).scanned == 0
        await connection.execute("update deliveries set state = 'delivered', finished_at = now()")
        assert (await sweep(sweeper, storage)).swept == 1
        assert (await reread(connection, job)).status is Status.EXPIRED

        await wants(pool, await finished_with_bytes(connection, storage, retention=PAST), **PROMISES[promise])
        forgetful = await sweeper.sweep(Expire(storage, timedelta(0)))
        assert forgetful is not None
        assert forgetful.swept == 1


async def test_what_its_owner_wanted_deleted_waits_for_nobody(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """When ingest dies in the middle of it, the janitor goes on."""
    async with pool.acquire() as connection:
        job = await wants(pool, await finished_with_bytes(connection, storage), upload_presigned_url=URL)
        assert await removal.condemn(connection, job.id, job.tenant) is not None
    assert (await sweep(sweeper, storage)).swept == 1


async def test_a_link_works_for_as_long_as_was_said(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """A result to which a webhook had a link is kept beyond its own time, if that is short."""
    async with pool.acquire() as connection:
        job = await wants(pool, await finished_with_bytes(connection, storage, retention=PAST), **PROMISES["in its webhook"])
        await told(pool, job, "job.completed")
        await connection.execute("update deliveries set state = 'delivered', finished_at = now(), keep_until = now() + interval '1 hour'")
        assert (await sweep(sweeper, storage)).scanned == 0
        await connection.execute("update deliveries set keep_until = now()")
        assert (await sweep(sweeper, storage)).swept == 1


async def test_each_end_is_delivered_before_nothing_is_kept(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """That a webhook told of an earlier failure does not count for the success that followed."""
    async with pool.acquire() as connection:
        job = await finished_with_bytes(connection, storage, retention=timedelta(0), webhook_url=URL)
        await told(pool, job, "job.failed")
        await connection.execute("update deliveries set state = 'delivered', finished_at = now(), created_at = now() - interval '1 hour'")
        assert (await sweep(sweeper, storage)).scanned == 0
        await told(pool, job, "job.completed")
        await connection.execute("update deliveries set state = 'delivered', finished_at = now()")
        assert (await sweep(sweeper, storage)).swept == 1


async def test_nothing_is_kept_once_the_tenants_endpoints_know(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """A job without a URL of its own waits for the notifier too, if somebody wants to hear of it."""
    await endpoint(pool, "default")
    async with pool.acquire() as connection:
        job = await finished_with_bytes(connection, storage, retention=timedelta(0))
        await connection.execute("update endpoints set payload = 'thin'")
        await connection.execute("update jobs set expires_at = now() - interval '61 seconds'")
        assert (await sweep(sweeper, storage)).scanned == 0
        await told(pool, job, "job.completed")
        assert (await sweep(sweeper, storage)).scanned == 0
        await connection.execute("update deliveries set state = 'delivered', finished_at = now()")
        assert (await sweep(sweeper, storage)).swept == 1


async def test_a_result_is_not_deleted_while_it_is_to_be_uploaded(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """To the address that its submitter gave; a thin webhook tells what happened without it."""
    async with pool.acquire() as connection:
        uploaded, told_of = [await finished_with_bytes(connection, storage, retention=PAST) for _ in range(2)]
        for job, kind in ((uploaded, "upload"), (told_of, "webhook")):
            await connection.execute(
                "insert into deliveries (id, job_id, event_id, event_type, endpoint, body, kind, lane)"
                " values (gen_random_uuid(), $1, gen_random_uuid(), 'job.completed', '', '', $2, '')",
                job.id,
                kind,
            )
        assert (await sweep(sweeper, storage)).swept == 1
        assert await reread(connection, uploaded) == uploaded
        await connection.execute("update deliveries set state = 'failed', finished_at = now()")
        assert (await sweep(sweeper, storage)).swept == 1
