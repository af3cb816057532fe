"""Rows that were kept for long enough: tombstones, receipts, deliveries that are over, answers to idempotency keys."""

import asyncio
from datetime import timedelta

import pytest

from common import ids
from common.cleanup import Report
from common.database import Pool
from common.envelope import Event
from common.ids import EventId
from common.jobs import objects, removal
from common.jobs.document import public
from common.jobs.job import Job
from common.storage import Storage
from services.janitor.duties.audio import Audio
from services.janitor.duties.deliveries import Deliveries
from services.janitor.duties.expire import Expire
from services.janitor.duties.idempotency_keys import IdempotencyKeys
from services.janitor.duties.lost import Lost
from services.janitor.duties.tombstones import Tombstones
from services.janitor.duty import Duty, Sweep
from services.janitor.sweeper import Sweeper
from services.notifier.intake import Intake
from tests.jobs import LOST, Announced, announced, claimed, finished, finished_with_bytes, forget_events, queued, reread

DAY = timedelta(days=1)
MANY = 1_200


async def sweep(sweeper: Sweeper, duty: Duty, *, dry_run: bool = False) -> Report:
    report = await sweeper.sweep(duty, dry_run=dry_run)
    assert report is not None
    assert report.error is None, report.error
    return report


async def expired(pool: Pool) -> Job:
    async with pool.acquire() as connection:
        job = await queued(connection, retention=LOST, webhook_url="https://example.com/hook")
        job = await finished(connection, await claimed(connection))
        [job] = await removal.expire(connection, [job])
    return job


async def test_tombstones_go_after_their_time(pool: Pool, sweeper: Sweeper) -> None:
    """With all that refers to them, announced, and no trace is left; younger ones stay, and those of which somebody is still to be told.

    Late is what was due a day ago and is not.
    """
    old, young = await expired(pool), await expired(pool)
    await Intake(pool).handle(
        Event(id=EventId(ids.new()), type="job.completed", source="/", subject=str(old.id), time=old.created_at, data=b"{}")
    )
    async with pool.acquire() as connection:
        await connection.execute("update jobs set expired_at = now() - interval '49 hours' where id = $1", old.id)
        await forget_events(connection)
        duty = Tombstones(DAY)
        assert (await sweep(sweeper, duty)).swept == 0
        await connection.execute("update deliveries set state = 'delivered', finished_at = now()")
        assert (await sweep(sweeper, duty, dry_run=True)).swept == 1
        report = await sweep(sweeper, duty)
        assert report.swept == 1
        assert DAY.total_seconds() <= report.backlog_seconds - 3_600 < DAY.total_seconds() + 600
        assert await connection.fetchval("select array_agg(id) from jobs") == [young.id]
        assert await connection.fetchval("select count(*) from deliveries") == 0
        assert await announced(connection) == [Announced("job.deleted", str(old.id))]
        assert await removal.receipt_of(connection, old.id, old.tenant) is None
        assert await removal.receipt_of(connection, young.id, young.tenant) is not None


async def test_receipts_of_deleted_jobs_are_kept_as_long(pool: Pool, sweeper: Sweeper) -> None:
    """A job that somebody deleted leaves a receipt, for its tenant alone, and that goes like a tombstone."""
    async with pool.acquire() as connection:
        await queued(connection)
        job = await finished(connection, await claimed(connection))
        deleted = await removal.delete(connection, job.id, job.tenant)
        assert deleted is not None
        receipt = await removal.receipt_of(connection, job.id, job.tenant)
        assert receipt is not None
        assert receipt == deleted.receipt
        assert (receipt.reason, [each.what for each in receipt.objects]) == ("deleted", ["recording", "transcript"])
        assert await removal.receipt_of(connection, job.id, "another") is None
        assert (await sweep(sweeper, Tombstones(DAY))).swept == 0
        assert (await sweep(sweeper, Tombstones(timedelta(0)))).swept == 1
        assert await removal.receipt_of(connection, job.id, job.tenant) is None


async def test_a_receipt_does_not_certify_what_was_lost(pool: Pool) -> None:
    """What the store had no more was deleted by nobody; what went before the rest has its own time."""
    async with pool.acquire() as connection:
        await queued(connection)
        job = await finished(connection, await claimed(connection))
        await objects.forget_recordings(connection, [job])
        await objects.mark_lost(connection, {job.id: ["transcript"]})
        deleted = await removal.delete(connection, job.id, job.tenant)
    assert deleted is not None
    assert deleted.receipt is not None
    assert [(each.what, each.deleted_at, each.lost) for each in deleted.receipt.objects] == [
        ("recording", deleted.audio_deleted_at, False),
        ("transcript", None, True),
    ]


async def test_nor_that_it_was_deleted_when_it_was_due(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """Deleting what the store has lost succeeds: the mark stays, whatever else is found to be missing later, and the receipt says so."""
    async with pool.acquire() as connection:
        job, whole = [await finished_with_bytes(connection, storage) for _ in range(2)]
        await storage.delete([job.source_key])
        await sweep(sweeper, Lost(storage))
        assert (await sweep(sweeper, Audio(storage, None, until_transcribed=True))).swept == 2
        assert public(await reread(connection, job)).source.deleted_at is None
        assert public(await reread(connection, whole)).source.deleted_at is not None
        await storage.delete_prefix("results/")
        await sweep(sweeper, Lost(storage))
        assert [(await reread(connection, each)).lost for each in (job, whole)] == [("recording", "transcript"), ("transcript",)]
        await connection.execute("update jobs set expires_at = now() - interval '1 second'")
        await sweep(sweeper, Expire(storage))
        receipts = [(await reread(connection, each)).receipt for each in (job, whole)]
    told = [{each.what: (each.deleted_at is None, each.lost) for each in receipt.objects} for receipt in receipts if receipt is not None]
    assert told == [{"recording": (True, True), "transcript": (True, True)}, {"recording": (False, False), "transcript": (True, True)}]


async def test_deliveries_that_are_over_go_after_their_time(pool: Pool, sweeper: Sweeper) -> None:
    """With their attempts; what is still to be sent stays, however old."""
    job = await expired(pool)
    for _ in range(3):
        await Intake(pool).handle(
            Event(id=EventId(ids.new()), type="job.completed", source="/", subject=str(job.id), time=job.created_at, data=b"{}")
        )
    async with pool.acquire() as connection:
        pending, old, young = [row["id"] for row in await connection.fetch("select id from deliveries order by id")]
        await connection.execute("update deliveries set created_at = now() - interval '1 year'")
        await connection.execute("update deliveries set state = 'failed', finished_at = now() - interval '2 days' where id = $1", old)
        await connection.execute("update deliveries set state = 'delivered', finished_at = now() where id = $1", young)
        await connection.execute("insert into delivery_attempts (delivery_id, attempt, milliseconds) values ($1, 1, 1)", old)
        assert (await sweep(sweeper, Deliveries(DAY), dry_run=True)).swept == 1
        assert (await sweep(sweeper, Deliveries(DAY))).swept == 1
        assert {row["id"] for row in await connection.fetch("select id from deliveries")} == {pending, young}
        assert await connection.fetchval("select count(*) from delivery_attempts") == 0


async def test_keys_that_are_free_again_go(pool: Pool, sweeper: Sweeper) -> None:
    """More than a batch of them, all of which a dry run counts; those that stand for something stay."""
    await pool.execute(
        "insert into idempotency_keys (tenant, key, lease_token, expires_at)"
        " select 'a', n::text, gen_random_uuid(), now() + case when n <= $1 then -1 else 1 end * interval '1 hour'"
        " from generate_series(1, $1 + 2) n",
        MANY,
    )
    for dry_run in True, False:
        assert (await sweep(sweeper, IdempotencyKeys(), dry_run=dry_run)).swept == MANY
    assert await pool.fetchval("select count(*) from idempotency_keys") == 2


async def entomb(pool: Pool, count: int, expired: timedelta, state: str) -> None:
    """So many tombstones, from so long ago, with a delivery in that state each."""
    await pool.execute(
        "with made as (insert into jobs (id, tenant, status, priority, options, source, retention, max_attempts, expired_at)"
        " select gen_random_uuid(), 'a', 'expired', 1, '{}',"
        """ '{"filename": "a", "content_type": "a", "size": 1, "sha256": "a", "kind": "audio"}', '1 s', 1, now() - $2::interval"""
        " from generate_series(1, $1) returning id, expired_at)"
        " insert into deliveries (id, job_id, event_id, event_type, endpoint, lane, body, state, finished_at)"
        " select gen_random_uuid(), id, gen_random_uuid(), 'job.completed', '', '', '', $3::text,"
        " case when $3::text <> 'pending' then expired_at end from made",
        *(count, expired, state),
    )


async def test_what_waits_for_its_deliveries_is_passed_by_once(pool: Pool) -> None:
    """A batch begins where the last one ended: what a paused endpoint holds up is not looked at again for each five hundred that go."""
    waiting = 1_000
    await entomb(pool, waiting, 3 * DAY, "pending")
    await entomb(pool, MANY, 2 * DAY, "failed")
    await pool.execute("analyze")
    async with pool.acquire() as connection, connection.transaction():
        for plan in ("hashjoin", "mergejoin", "seqscan"):  # so that each look at a tombstone is one at its deliveries
            await connection.execute(f"set local enable_{plan} = off")
        sweep = Sweep(connection, await connection.fetchval("select now()"), dry_run=False)
        assert sum([counts.swept async for counts in Tombstones(DAY).batches(sweep)]) == MANY
        looks = await connection.fetchval("select idx_scan from pg_stat_xact_user_tables where relname = 'deliveries'")
    assert waiting + MANY <= looks < 2 * waiting + 2 * MANY


@pytest.mark.parametrize("name", ["tombstones", "deliveries", "keys"])
async def test_purges_at_once_share_the_rows(pool: Pool, name: str) -> None:
    """Even without the lock, as after a lost connection, each row goes once, and a tombstone is announced once."""
    duties: dict[str, Duty] = {"tombstones": Tombstones(DAY), "deliveries": Deliveries(DAY), "keys": IdempotencyKeys()}
    await entomb(pool, MANY, 2 * DAY, "failed")
    await pool.execute(
        "insert into idempotency_keys (tenant, key, lease_token, expires_at) select 'a', id::text, id, expired_at from jobs",
    )

    async def work() -> int:
        async with pool.acquire() as connection:
            now = await connection.fetchval("select now()")
            return sum([counts.swept async for counts in duties[name].batches(Sweep(connection, now, dry_run=False))])

    assert sum(await asyncio.gather(*(work() for _ in range(3)))) == MANY
    if name == "tombstones":
        async with pool.acquire() as connection:
            found = await announced(connection)
        assert len(found) == len(set(found)) == MANY
