"""Uploads over several requests: kept while they live, however old, and taken away with every byte when their time is over."""

from datetime import timedelta

from common import ids, resumable
from common.database import Connection, Pool
from common.ids import JobId, LeaseToken
from common.jobs import store
from common.jobs.job import Source
from common.jobs.options import Options
from common.multipart import Part
from common.resumable import New, Protocol, Upload
from common.storage import Storage
from common.storage_keys import source_key, tail_key
from services.janitor.duties.expired_uploads import ExpiredUploads
from services.janitor.duties.orphans import Orphans
from services.janitor.duties.uploads import Uploads
from services.janitor.sweeper import Sweeper
from tests.integration.janitor.test_bucket_duties import ANY_AGE, keys, put, sweep
from tests.jobs import HOUR, LOST

_SOURCE = Source(filename="talk.wav", content_type="audio/wav", size=4, sha256="00" * 32, kind="audio")


async def begun(connection: Connection, storage: Storage, lifetime: timedelta = HOUR, *, protocol: Protocol = "parts") -> Upload:
    upload_id = JobId(ids.new())
    multipart_id = await storage.multipart.begin(source_key(upload_id))
    new = New(id=upload_id, tenant="a", protocol=protocol, filename="", size=4, part_size=4, multipart_id=multipart_id)
    return await resumable.create(connection, new, lifetime)


async def ready(connection: Connection, storage: Storage) -> Upload:
    upload = await begun(connection, storage)
    leased = await resumable.lease(connection, upload.id, "a", LeaseToken(ids.new()), HOUR)
    assert leased is not None
    await put(storage, upload.key)
    finished = await resumable.finish(connection, leased, _SOURCE, HOUR)
    assert finished is not None
    return finished


async def submitted(connection: Connection, storage: Storage) -> Upload:
    upload = await ready(connection, storage)
    async with connection.transaction():
        assert await resumable.submit(connection, upload.id, "a") is not None
        await store.create(
            connection, job_id=upload.id, tenant="a", options=Options(), source=_SOURCE, retention=HOUR, max_attempts=3, trace=None
        )
    return upload


async def with_tail(connection: Connection, storage: Storage) -> Upload:
    """A tus upload of which some bytes make no part yet, and an older tail that nobody needs."""
    upload = await begun(connection, storage, protocol="tus")
    token = LeaseToken(ids.new())
    leased = await resumable.lease(connection, upload.id, "a", token, HOUR)
    assert leased is not None
    await put(storage, tail_key(upload.id, token), tail_key(upload.id, LeaseToken(ids.new())))
    advanced = await resumable.advance(connection, leased, [Part(1, "x", 1)], tail=token, received=3, lifetime=HOUR)
    assert advanced is not None
    return advanced


async def open_uploads(storage: Storage) -> int:
    return len([found async for found in storage.open_uploads()])


async def test_a_living_upload_is_left_alone(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """Its object, its multipart upload and its tail stay, whatever their age; a tail that it has no more use for goes."""
    async with pool.acquire() as connection:
        uploads = [await begun(connection, storage), await ready(connection, storage), await with_tail(connection, storage)]
    kept = {uploads[1].key, *uploads[2].tail_keys}
    assert (await sweep(sweeper, ExpiredUploads(storage))).scanned == 0
    assert (await sweep(sweeper, Uploads(storage, ANY_AGE))).swept == 0
    assert (await sweep(sweeper, Orphans(storage, ANY_AGE))).swept == 1
    assert await keys(storage) == kept
    assert await open_uploads(storage) == 3


async def test_an_expired_upload_goes_with_every_byte(pool: Pool, storage: Storage, sweeper: Sweeper) -> None:
    """Begun, ready or with a tail: all of it goes; of a submitted one row and tails, as the recording is its job's."""
    async with pool.acquire() as connection:
        for make in (begun, ready, with_tail):
            await make(connection, storage)
        job = await submitted(connection, storage)
        await put(storage, tail_key(job.id, LeaseToken(ids.new())))
        living = await begun(connection, storage)
        await connection.execute("update uploads set expires_at = now() where id <> $1", living.id)
        assert (await sweep(sweeper, ExpiredUploads(storage), dry_run=True)).swept == 4
        assert len(await keys(storage)) == 5
        assert (await sweep(sweeper, ExpiredUploads(storage))).swept == 4
        assert [row["id"] for row in await connection.fetch("select id from uploads")] == [living.id]
        assert await store.get(connection, job.id, "a") is not None
    assert await keys(storage) == {job.key}
    assert await open_uploads(storage) == 2  # the living one's, and the submitted one's, which the test never completed


async def test_what_ends_an_upload_ends_it_for_everybody(pool: Pool, storage: Storage) -> None:
    """No job is made of what is past its time or was abandoned, and a request that still works on it writes nothing more."""
    async with pool.acquire() as connection:
        late = await ready(connection, storage)
        await connection.execute("update uploads set expires_at = now()")
        assert await resumable.submit(connection, late.id, "a") is None
        upload = await begun(connection, storage)
        leased = await resumable.lease(connection, upload.id, "a", LeaseToken(ids.new()), HOUR)
        assert leased is not None
        assert await resumable.expire(connection, upload.id) is None  # not yet
        assert await resumable.abandon(connection, upload.id, "a") is not None
        assert await resumable.advance(connection, leased, [Part(1, "x", 4)], tail=None, received=4, lifetime=HOUR) is None
        assert await resumable.finish(connection, leased, _SOURCE, HOUR) is None
        assert await resumable.lease(connection, upload.id, "a", LeaseToken(ids.new()), HOUR) is None


async def test_who_takes_over_overwrites_no_part(pool: Pool, storage: Storage) -> None:
    """A request that lost its lease may still be sending a part: its number is given to nobody else, and it records nothing."""
    async with pool.acquire() as connection:
        upload = await begun(connection, storage, protocol="tus")
        first = await resumable.lease(connection, upload.id, "a", LeaseToken(ids.new()), LOST)
        assert first is not None
        assert await resumable.take_part(connection, first) == 1
        second = await resumable.lease(connection, upload.id, "a", LeaseToken(ids.new()), HOUR)
        assert second is not None
        assert await resumable.lease(connection, upload.id, "a", LeaseToken(ids.new()), HOUR) is None
        assert await resumable.take_part(connection, first) is None
        assert await resumable.advance(connection, first, [], tail=None, received=1, lifetime=HOUR) is None
        assert await resumable.take_part(connection, second) == 2
