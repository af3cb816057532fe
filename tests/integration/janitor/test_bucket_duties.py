"""What lies in the bucket and nobody needs: old recordings, uploads that were never ended, objects without an owner."""

import asyncio
from datetime import timedelta

from common import ids
from common.cleanup import Report
from common.database import Pool
from common.ids import JobId, LeaseToken
from common.jobs import objects, removal, store
from common.jobs.document import public
from common.jobs.objects import Owner
from common.storage import Storage
from common.storage_keys import audio_key, checkpoint_key, source_key, transcript_key
from common.upload import PART_BYTES
from services.janitor.duties.audio import Audio
from services.janitor.duties.orphans import Orphans
from services.janitor.duties.uploads import Uploads
from services.janitor.duty import Duty
from services.janitor.sweeper import Sweeper
from tests.jobs import BROKEN, HOUR, LOST, claimed, finished_with_bytes, queued, reread

ANY_AGE = -HOUR  # whatever exists is older than that


async def keys(storage: Storage) -> set[str]:
    return {found.key async for found in storage.objects()}


async def put(storage: Storage, *names: str) -> None:
    for name in names:
        await storage.put(name, b"bytes", content_type="application/octet-stream")


async def sweep(sweeper: Sweeper, duty: Duty, *, dry_run: bool = False) -> Report:
    report = await sweeper.sweep(duty, dry_run=dry_run)
    assert report is not None
    assert report.error is None
    return report


def lease(job_lease: LeaseToken | None) -> LeaseToken:
    assert job_lease is not None
    return job_lease


async def test_recordings_go_when_they_were_redacted(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """However young they are, should the attempt not have come to it; the redacted copy stays."""
    async with pool.acquire() as connection:
        job = await finished_with_bytes(connection, storage)
        plain = await finished_with_bytes(connection, storage)
        await connection.execute("""update jobs set options = '{"redact": ["phone"]}' where id = $1""", job.id)
    copy = audio_key(job.id, next(iter((await owners(pool, job.id)).leases)))
    await put(storage, copy)
    assert (await sweep(sweeper, Audio(storage, None))).swept == 1
    left = await keys(storage)
    assert source_key(job.id) not in left
    assert left >= {copy, source_key(plain.id)}


async def owners(pool: Pool, job_id: JobId) -> Owner:
    async with pool.acquire() as connection:
        return (await objects.owners(connection, [job_id]))[job_id]


async def test_recordings_go_before_results_do(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """Of jobs that ended long enough ago; of others, and of jobs that are not over, they stay, and results stay anyway."""
    async with pool.acquire() as connection:
        old = await finished_with_bytes(connection, storage)
        await connection.execute("update jobs set finished_at = now() - interval '2 hours'")
        young = await finished_with_bytes(connection, storage)
        waiting = await queued(connection)
        await put(storage, source_key(waiting.id), source_key(JobId(ids.new())), "audio/not-ours")
    before = await keys(storage)

    assert (await sweep(sweeper, Audio(storage, HOUR), dry_run=True)).swept == 1
    assert await keys(storage) == before
    assert (await sweep(sweeper, Audio(storage, HOUR))).swept == 1

    assert before - await keys(storage) == {source_key(old.id)}
    assert (await sweep(sweeper, Audio(storage, HOUR))).swept == 0
    assert source_key(young.id) in await keys(storage)


async def test_completed_jobs_need_no_recording_if_the_operator_says_so(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """At once, and the job says since when it is gone; a failed job's stays, which may be tried again."""
    async with pool.acquire() as connection:
        done = await finished_with_bytes(connection, storage)
        failed = await queued(connection)
        await put(storage, source_key(failed.id))
        await store.fail(connection, await claimed(connection), BROKEN)
        duty = Audio(storage, None, until_transcribed=True)
        assert (await sweep(sweeper, duty)).swept == 1
        assert (await sweep(sweeper, duty)).scanned == 0
        gone = await reread(connection, done)
        assert gone.audio_deleted_at is not None
        assert public(gone).source.deleted_at == gone.audio_deleted_at
        assert (await reread(connection, failed)).audio_deleted_at is None
    assert source_key(done.id) not in await keys(storage)
    assert source_key(failed.id) in await keys(storage)


async def test_a_recording_counts_once_whatever_it_is_due_by(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """Redacted, transcribed and over: a dry run says what a sweep does."""
    async with pool.acquire() as connection:
        await finished_with_bytes(connection, storage)
        await connection.execute("""update jobs set options = '{"redact": ["phone"]}'""")
        await finished_with_bytes(connection, storage)
        await queued(connection)
        await store.fail(connection, await claimed(connection), BROKEN)
    duty = Audio(storage, timedelta(0), until_transcribed=True)
    for dry_run in (True, False):
        report = await sweep(sweeper, duty, dry_run=dry_run)
        assert (report.scanned, report.swept, report.failed) == (3, 3, 0)


async def test_recordings_of_failed_jobs_go_too(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """With a retention of nothing, as soon as the job is over."""
    async with pool.acquire() as connection:
        job = await queued(connection)
        await put(storage, source_key(job.id))
        await store.fail(connection, await claimed(connection), BROKEN)
    await sweep(sweeper, Audio(storage, timedelta(0)))
    assert await keys(storage) == set()


async def test_uploads_that_nobody_ended_are_aborted(storage: Storage, sweeper: Sweeper) -> None:
    """Old ones, in all our prefixes; a young one goes on and can be completed, and what is not ours is not touched."""
    client = storage._client
    begun = [
        await client.create_multipart_upload(Bucket=storage.bucket, Key=key)
        for key in ("audio/a/source", "results/b/c/transcript.json", "backups/d")
    ]
    duty, patient = Uploads(storage, ANY_AGE), Uploads(storage, HOUR)

    assert (await sweep(sweeper, patient)).swept == 0
    async with storage.upload("audio/running/source", content_type="audio/wav") as running:
        await running.write(bytes(PART_BYTES))
        assert (await sweep(sweeper, patient)).scanned == 3
    assert await keys(storage) == {"audio/running/source"}

    assert (await sweep(sweeper, duty, dry_run=True)).swept == 2
    assert (await sweep(sweeper, duty)).swept == 2
    assert [left.key async for left in storage.open_uploads()] == ["backups/d"]
    assert (await sweep(sweeper, duty)).swept == 0
    await storage.abort_upload("backups/d", begun[2]["UploadId"])


async def test_orphans_and_losers_go_and_what_is_owned_stays(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """What has no job, results of attempts that lost, checkpoints of jobs that are done, anything of an expired job; nothing else."""
    async with pool.acquire() as connection:
        done = await finished_with_bytes(connection, storage)
        expired = await finished_with_bytes(connection, storage, retention=LOST)
        await removal.expire(connection, [expired])
        await queued(connection)
        running = await claimed(connection)
        waiting = await queued(connection)
    loser, stranger = LeaseToken(ids.new()), JobId(ids.new())
    owned = {source_key(running.id), transcript_key(running.id, lease(running.lease_token)), source_key(waiting.id)}
    owned |= {checkpoint_key(running.id, "transcribe"), checkpoint_key(waiting.id, "transcribe")}
    foreign = {"audio/readme.txt", f"results/{done.id}.notes.txt", "backups/x"}
    orphaned = {
        source_key(stranger),
        transcript_key(stranger, loser),
        transcript_key(done.id, loser),
        transcript_key(running.id, loser),
        transcript_key(waiting.id, loser),
        checkpoint_key(done.id, "align"),
        checkpoint_key(stranger, "align"),
    }
    left_by_expiry = {key for key in await keys(storage) if str(expired.id) in key}
    owned |= {key for key in await keys(storage) if str(done.id) in key}
    await put(storage, *(owned | foreign | orphaned) - await keys(storage))
    before = await keys(storage)
    duty = Orphans(storage, ANY_AGE)

    assert (await sweep(sweeper, duty, dry_run=True)).swept == len(orphaned | left_by_expiry) == 9
    assert await keys(storage) == before
    assert (await sweep(sweeper, duty)).swept == 9

    assert await keys(storage) == owned | foreign
    assert (await sweep(sweeper, duty)).swept == 0


async def test_young_objects_are_given_time(storage: Storage, sweeper: Sweeper) -> None:
    """A recording whose row is about to be written is not an orphan yet."""
    await put(storage, source_key(JobId(ids.new())))
    assert (await sweep(sweeper, Orphans(storage, HOUR))).swept == 0
    assert (await sweep(sweeper, Orphans(storage, ANY_AGE))).swept == 1


async def test_more_orphans_than_a_page_all_go(storage: Storage, sweeper: Sweeper) -> None:
    """Deleting what a page listed does not make the listing skip what follows."""
    count = 1_100
    names = [source_key(JobId(ids.new())) for _ in range(count)]
    for start in range(0, count, 100):
        await put_at_once(storage, names[start : start + 100])
    report = await sweep(sweeper, Orphans(storage, ANY_AGE))
    assert (report.scanned, report.swept) == (count, count)
    assert await keys(storage) == set()


async def put_at_once(storage: Storage, names: list[str]) -> None:
    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(put(storage, name))
