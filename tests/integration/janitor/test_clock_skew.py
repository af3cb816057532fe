"""Clocks that disagree: what is due goes by the database's, how old an object is by the store's, and nothing by any other."""

from datetime import timedelta

from common import ids
from common.database import Pool
from common.ids import JobId
from common.storage import Storage
from common.storage_keys import source_key
from services.janitor.duties.audio import Audio
from services.janitor.duties.expire import Expire
from services.janitor.duties.orphans import Orphans
from services.janitor.duties.rescue import Rescue
from services.janitor.duties.uploads import Uploads
from services.janitor.sweeper import Sweeper
from tests.integration.janitor.test_bucket_duties import ANY_AGE, put
from tests.jobs import HOUR, claimed, finished_with_bytes, queued
from tests.skew import clock_off


async def test_nothing_goes_before_its_time(pool: Pool, storage: Storage, sweeper: Sweeper, database_url: str) -> None:
    """The database is three days ahead of everybody, or behind: leases, retentions and graces are as long as ever."""
    clocks = (Rescue(), Audio(storage, HOUR), Expire(storage))
    ages = (Orphans(storage, HOUR), Uploads(storage, HOUR))

    async def swept() -> list[int]:
        reports = [await sweeper.sweep(duty) for duty in (*clocks, *ages)]
        assert [report.error for report in reports if report is not None] == [None] * 5
        return [report.swept for report in reports if report is not None]

    await clock_off(pool, database_url, "3 days")
    orphan = source_key(JobId(ids.new()))
    await put(storage, orphan)
    begun = await storage._client.create_multipart_upload(Bucket=storage.bucket, Key=orphan)
    async with pool.acquire() as connection:
        await finished_with_bytes(connection, storage, retention=2 * HOUR)
        await queued(connection)
        await claimed(connection, lease=HOUR)
    assert await swept() == [0] * 5
    await clock_off(pool, database_url, "-3 days")
    assert await swept() == [0] * 5
    await clock_off(pool, database_url, "3 days 61 minutes")
    assert await swept() == [1, 1, 0, 0, 0]
    await clock_off(pool, database_url, "3 days 121 minutes")
    assert await swept() == [0, 0, 1, 0, 0]
    report = await sweeper.sweep(Orphans(storage, ANY_AGE))
    assert report is not None
    assert (report.swept, report.backlog_seconds >= timedelta(minutes=59).total_seconds()) == (1, True)
    await storage.abort_upload(orphan, begun["UploadId"])
