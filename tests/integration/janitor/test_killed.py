"""A janitor that is killed after the store has done its part and before the row says so: the next one finds that still to be done."""

from collections.abc import Iterable

import pytest

from common import ids
from common.database import Pool
from common.errors import Refused
from common.ids import JobId
from common.jobs.job import Status
from common.storage import Storage
from common.storage_keys import source_key
from services.janitor.duties.audio import Audio
from services.janitor.duties.expire import Expire
from services.janitor.duties.orphans import Orphans
from services.janitor.sweeper import Sweeper
from tests.integration.janitor.test_bucket_duties import ANY_AGE, keys, put
from tests.jobs import LOST, finished_with_bytes, reread


class Killed(BaseException):
    """As a kill: nobody handles it."""


class Deadly(Storage):
    """A bucket that deletes what it is told to, and then there is nobody to hear of it."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage._client, storage.bucket)

    async def delete_each(self, keys: Iterable[str]) -> dict[str, Refused]:
        await super().delete_each(keys)
        raise Killed


async def test_it_is_finished_by_the_next(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """Rows are as they were, and are found once more; what has no row is gone."""
    async with pool.acquire() as connection:
        heard, due = await finished_with_bytes(connection, storage), await finished_with_bytes(connection, storage, retention=LOST)
        await put(storage, source_key(JobId(ids.new())))
        for duty in Orphans(Deadly(storage), ANY_AGE), Audio(Deadly(storage), None, until_transcribed=True), Expire(Deadly(storage)):
            with pytest.raises(Killed):
                await sweeper.sweep(duty)
        assert [await reread(connection, job) for job in (heard, due)] == [heard, due]
        swept = [await sweeper.sweep(duty) for duty in (Orphans(storage, ANY_AGE), Audio(storage, None, until_transcribed=True))]
        assert [report.swept for report in swept if report is not None] == [0, 2]
        assert (await reread(connection, heard)).audio_deleted_at is not None
        report = await sweeper.sweep(Expire(storage))
        assert report is not None
        assert report.swept == 1
        assert (await reread(connection, due)).status is Status.EXPIRED
    assert await keys(storage) == {*heard.keys} - {source_key(heard.id)}
