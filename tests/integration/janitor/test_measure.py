"""What is in the store, as the janitor measures it."""

import httpx

from common import ids, space
from common.database import Pool
from common.ids import JobId, LeaseToken
from common.space import Usage
from common.storage import Storage
from common.storage_keys import archive_key, source_key, transcript_key
from services.janitor.duties.measure import Limits, Measure
from services.janitor.sweeper import Sweeper
from tests.running import Services, wait_until


async def test_everything_is_counted_by_kind(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """Objects and bytes of each kind, and the level that they make; a dry run writes nothing; the next measure replaces the last."""
    job_id = JobId(ids.new())
    keys = (source_key(job_id), transcript_key(job_id, LeaseToken(ids.new())), archive_key(job_id, "segment-mp3"), "readme.txt")
    for key in keys:
        await storage.put(key, b"12345", content_type="text/plain")
    duty = Measure(storage, Limits(capacity=25, warning=80, critical=95))
    async with pool.acquire() as connection:
        await sweeper.sweep(duty, dry_run=True)
        assert await space.read(connection) is None
        for _ in range(2):
            report = await sweeper.sweep(duty)
            assert report is not None
            assert (report.scanned, report.error) == (4, None)
        found = await space.read(connection)
        assert found is not None
        assert (found.objects, found.bytes, found.capacity, found.level) == (4, 20, 25, "warning")
        kinds = ("archives", "audio", "other", "results")
        assert await space.read_usage(connection) == [Usage(kind=kind, age="day", objects=1, bytes=5) for kind in kinds]


async def test_metrics(service: Services) -> None:
    """A janitor tells how much is in the store and what its duties did."""
    janitor = await service("janitor")

    async def told() -> bool:
        async with httpx.AsyncClient(base_url=janitor.url, timeout=60) as client:
            text = (await client.get("/metrics")).text
        return "verbatim_storage_bytes 0.0" in text and 'verbatim_duty_complete_timestamp_seconds{duty="expire"}' in text

    await wait_until(told, "the numbers of the first round")
