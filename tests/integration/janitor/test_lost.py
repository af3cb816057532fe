"""Jobs whose objects are gone from the store, by nobody's will."""

from common.database import Pool
from common.jobs import objects
from common.jobs.document import public
from common.storage import Storage
from common.storage_keys import source_key
from services.janitor.duties.lost import Lost
from services.janitor.sweeper import Sweeper
from tests.integration.janitor.test_bucket_duties import put, sweep
from tests.jobs import LOST, claimed, finished_with_bytes, forget_events, queued, reread


async def test_jobs_without_their_objects_are_told_and_marked(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """What is missing is named, also to clients; jobs that are whole, in the works or due are left alone; what comes back is unmarked."""
    duty = Lost(storage)
    async with pool.acquire() as connection:
        jobs = [await finished_with_bytes(connection, storage) for _ in range(3)]
        due = await finished_with_bytes(connection, storage, retention=LOST)
        await queued(connection)
        running = await claimed(connection)
        waiting = await queued(connection)
        await forget_events(connection)
        await put(storage, source_key(waiting.id))
        without_result, without_both, whole = jobs
        for job in (without_result, without_both, due):
            await storage.delete_prefix(f"results/{job.id}.")
        await storage.delete([source_key(without_both.id)])

        assert (await sweep(sweeper, duty, dry_run=True)).failed == 3
        assert (await reread(connection, without_result)) == without_result
        report = await sweep(sweeper, duty)
        assert (report.scanned, report.swept, report.failed) == (5, 2, 2)
        lost = [(await reread(connection, job)).lost for job in (*jobs, due, running, waiting)]
        assert lost == [("transcript",), ("recording", "transcript"), (), (), (), ()]
        shown = public(await reread(connection, without_both))
        assert shown.lost == ["recording", "transcript"]
        assert shown.result is not None
        assert not shown.result.available

        await put(storage, source_key(without_both.id))
        report = await sweep(sweeper, duty)
        assert (report.swept, report.failed) == (1, 2)
        assert (await reread(connection, without_both)).lost == ("transcript",)
        assert await reread(connection, whole) == whole


async def test_what_was_deleted_since_the_look_is_not_lost(pool: Pool, storage: Storage) -> None:
    """A recording that another duty deleted between the look and the mark went by right; what else is missing is marked."""
    async with pool.acquire() as connection:
        whole, without_result = [await finished_with_bytes(connection, storage) for _ in range(2)]
        assert await objects.forget_recordings(connection, [whole, without_result]) == 2
        marked = await objects.mark_lost(connection, {whole.id: ["recording"], without_result.id: ["recording", "transcript"]})
        assert marked == {without_result.id: ("transcript",)}
        assert [(await reread(connection, job)).lost for job in (whole, without_result)] == [(), ("transcript",)]
