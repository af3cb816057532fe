"""A store that does not delete all that it is told to: nothing is forgotten before its object is gone."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta

import pytest

from common import storage as stores
from common.cleanup import Report
from common.database import Pool
from common.errors import Refused, TransientError
from common.ids import JobId, new
from common.jobs import store
from common.jobs.job import Status
from common.jobs.listing import Filters
from common.storage import Storage
from common.storage_keys import parse_key, source_key
from deploy.local.stack import Stack
from services.ingest.clearing import Cleared, delete_chosen
from services.janitor.duties.audio import Audio
from services.janitor.duties.expire import Expire
from services.janitor.duties.expired_uploads import ExpiredUploads
from services.janitor.duties.orphans import Orphans
from services.janitor.duties.uploads import Uploads
from services.janitor.duty import Duty
from services.janitor.schedule import every
from services.janitor.sweeper import Sweeper
from tests.gateway import Gateway, gateway
from tests.integration.janitor.test_bucket_duties import ANY_AGE, keys, put
from tests.integration.janitor.test_expired_uploads import begun
from tests.jobs import HOUR, finished_with_bytes, reread

PAST = timedelta(seconds=-1)
PAUSE = timedelta(milliseconds=20)


@pytest.fixture
async def between(stack: Stack, storage: Storage) -> AsyncIterator[tuple[Gateway, Storage]]:
    """A gateway to the test's bucket, and the bucket as it is seen through it."""
    async with (
        gateway(stack.s3.endpoint_url or "", storage) as (opened, url),
        stores.connect(
            endpoint_url=url, bucket=storage.bucket, access_key=stack.s3.access_key, secret_key=stack.s3.secret_key, region="us-east-1"
        ) as seen,
    ):
        yield opened, seen


def every_second(key: str) -> bool:
    """Of a kind of objects about half, always the same."""
    place = parse_key(key)
    assert place is not None
    return bool((place.job_id.int + len(place.kind)) % 2)


async def counts(sweeper: Sweeper, duty: Duty) -> tuple[int, int]:
    report = await sweeper.sweep(duty)
    assert report is not None
    assert report.error is None, report.error
    return report.swept, report.failed


async def test_no_job_is_forgotten_before_its_last_object(
    pool: Pool, storage: Storage, between: tuple[Gateway, Storage], sweeper: Sweeper
) -> None:
    """Refused one by one: each job of which anything is left stays as it is and is tried again, each of which nothing is left expires."""
    refusing, seen = between
    async with pool.acquire() as connection:
        jobs = [await finished_with_bytes(connection, storage, retention=PAST) for _ in range(24)]
        refusing.refused = lambda key: every_second(key) or parse_key(key) == parse_key(source_key(jobs[0].id))
        swept, failed = await counts(sweeper, Expire(seen))
        left = {place.job_id for key in await keys(storage) if (place := parse_key(key)) is not None}
        assert (swept, failed) == (len(jobs) - len(left), len(left))
        for job in jobs:
            found = await reread(connection, job)
            assert (found == job) is (job.id in left)
            assert (found.status is Status.EXPIRED) is (job.id not in left)
        refusing.refused = lambda _key: False
        refusing.busy = True
        assert await counts(sweeper, Expire(seen)) == (failed, 0)
        assert await store.counts(connection) == {"expired": len(jobs)}
    assert await keys(storage) == set()


async def test_no_recording_is_said_to_be_gone_that_is_there(
    pool: Pool, storage: Storage, between: tuple[Gateway, Storage], sweeper: Sweeper
) -> None:
    """Nor is an orphan counted as gone."""
    refusing, seen = between
    async with pool.acquire() as connection:
        jobs = [await finished_with_bytes(connection, storage) for _ in range(6)]
    orphans = [source_key(JobId(new())) for _ in range(6)]
    await put(storage, *orphans)
    refused = {source_key(jobs[0].id), *orphans[:2]}
    refusing.refused = lambda key: key in refused
    assert await counts(sweeper, Audio(seen, timedelta(0))) == (5, 1)
    assert await counts(sweeper, Orphans(seen, ANY_AGE)) == (4, 2)
    assert {key for key in await keys(storage) if key.startswith("audio/")} == refused
    async with pool.acquire() as connection:
        assert [(await reread(connection, job)).audio_deleted_at is None for job in jobs] == [True] + [False] * 5


async def test_what_is_held_alone_ends_no_sweep(pool: Pool, storage: Storage, between: tuple[Gateway, Storage], sweeper: Sweeper) -> None:
    """A page of which the store refuses everything, one by one, counts as failed; so does a job that its owner wants deleted."""
    refusing, seen = between
    refusing.refused = lambda _key: True
    async with pool.acquire() as connection:
        held = await finished_with_bytes(connection, storage)
        assert await counts(sweeper, Audio(seen, timedelta(0))) == (0, 1)
        assert await delete_chosen(pool, seen, held.tenant, [Status.COMPLETED], Filters(), 10) == Cleared(failed=1)
        assert (await reread(connection, held)).status is Status.COMPLETED
    assert await keys(storage) == set(held.keys)


async def test_what_is_refused_is_seldom_asked_for(
    pool: Pool, storage: Storage, between: tuple[Gateway, Storage], sweeper: Sweeper
) -> None:
    """Urgent or not: a round in which a store refuses much is followed by a long pause, and asks for each thing once."""
    refusing, seen = between
    refusing.refused = lambda _key: True
    async with pool.acquire() as connection:
        for _ in range(30):
            await finished_with_bytes(connection, storage)
    watched = Watched(sweeper, rounds=3)
    began = time.monotonic()
    async with asyncio.timeout(300):
        await every(PAUSE, [Audio(seen, timedelta(0))], watched, watched.stopping, longest=HOUR)
    assert [report.failed for report in watched.reports] == [30] * 3
    assert refusing.deletions == 3
    assert time.monotonic() - began >= 2 * 31 * PAUSE.total_seconds()


class Watched:
    """A sweeper that is stopped after so many rounds."""

    def __init__(self, sweeper: Sweeper, *, rounds: int) -> None:
        self.reports: list[Report] = []
        self.stopping = asyncio.Event()
        self._sweeper = sweeper
        self._rounds = rounds

    async def sweep(self, duty: Duty) -> Report | None:
        report = await self._sweeper.sweep(duty)
        assert report is not None
        self.reports.append(report)
        if len(self.reports) == self._rounds:
            self.stopping.set()
        return report


async def test_what_is_held_keeps_no_older_job(pool: Pool, storage: Storage, between: tuple[Gateway, Storage]) -> None:
    """The newest job is held, and one that may be deleted is the next; when only the held one is left, nothing is said to be left to do."""
    refusing, seen = between
    async with pool.acquire() as connection:
        jobs = [await finished_with_bytes(connection, storage) for _ in range(3)]
    refusing.refused = lambda key: str(jobs[-1].id) in key

    async def cleared() -> tuple[int, int, bool]:
        found = await delete_chosen(pool, seen, jobs[0].tenant, [Status.COMPLETED], Filters(), 1)
        return found.deleted, found.failed, found.more

    assert [await cleared() for _ in range(3)] == [(1, 1, True), (1, 1, False), (0, 1, False)]


class Away(Storage):
    """A bucket that can be looked at, and no request to delete is answered."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage._client, storage.bucket)

    async def delete_each(self, keys: Iterable[str]) -> dict[str, Refused]:
        raise TransientError("storage_unavailable", f"The store is away: {[*keys]}")

    async def abort_upload(self, key: str, upload_id: str) -> None:
        raise TransientError("storage_unavailable", f"The store is away: {key}, {upload_id}")


@pytest.mark.parametrize("name", ["audio", "orphans", "uploads", "expired_uploads"])
async def test_a_sweep_that_broke_off_tells_what_it_had_found(pool: Pool, storage: Storage, sweeper: Sweeper, name: str) -> None:
    """How much there was, that nothing came of it, and how late it was: nobody takes a store that is away for one that is empty."""
    away = Away(storage)
    async with pool.acquire() as connection:
        if name == "expired_uploads":
            await begun(connection, storage)
            await connection.execute("update uploads set expires_at = now() - interval '1 hour'")
        elif name == "uploads":
            await storage.multipart.begin(source_key(JobId(new())))
        elif name == "orphans":
            await put(storage, source_key(JobId(new())))
        else:
            await finished_with_bytes(connection, storage)
            await connection.execute("update jobs set finished_at = now() - interval '2 hours'")
    duties: dict[str, Duty] = {
        "audio": Audio(away, HOUR),
        "orphans": Orphans(away, ANY_AGE),
        "uploads": Uploads(away, ANY_AGE),
        "expired_uploads": ExpiredUploads(away),
    }
    report = await sweeper.sweep(duties[name])
    assert report is not None
    assert (report.scanned, report.swept, report.failed, report.complete) == (1, 0, 1, False)
    assert "storage_unavailable" in (report.error or "")
    assert report.backlog_seconds >= HOUR.total_seconds() - 60
