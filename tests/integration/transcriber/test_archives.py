"""Archives from the request to the zip in the bucket, through the real API, broker and store."""

import asyncio
import io
import sys
import wave
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
from aiohttp import web

from common import archives, ids, outbox
from common import storage as stores
from common.archives import Cut, Wanted
from common.broker import Broker
from common.database import Pool
from common.envelope import Event
from common.ids import EventId
from common.jobs import removal, store
from common.jobs.job import Failure, Job, Result
from common.references.lines import Line
from common.storage import Storage
from common.storage_keys import audio_key, source_key, transcript_key
from common.transcript import Language, Segment, Transcript, encode
from deploy.local.stack import Stack
from services.transcriber.archives import Archives
from tests import recordings
from tests.gateway import gateway
from tests.jobs import BROKEN, HOUR, claimed, finished, queued
from tests.running import Services, wait_until

LINES = (Segment(0, 0.0, 4.0, "Hello?", 0.9, (), speaker="A"), Segment(1, 4.0, 9.5, "It is me.", 0.9, (), speaker="B"))


@pytest.fixture
async def client(service: Services) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of an ingest."""
    ingest = await service("ingest")
    async with httpx.AsyncClient(base_url=ingest.url, timeout=60) as http:
        yield http


@pytest.fixture
async def maker(pool: Pool, storage: Storage, broker: Broker, tmp_path: Path) -> AsyncIterator[Archives]:
    """What makes archives, at work."""
    made, stopping = Archives(pool, storage, broker, tmp_path), asyncio.Event()
    running = asyncio.create_task(made.run(stopping))
    yield made
    stopping.set()
    await running


async def transcribed(
    pool: Pool, storage: Storage, recording: bytes, *, speakers: int = 2, reference: tuple[Line, ...] = (), redacted: bytes | None = None
) -> Job:
    """A job with this recording, which is still there, and its redacted copy, if it was to have one."""
    async with pool.acquire() as connection:
        job = await queued(connection, reference=reference, redact=() if redacted is None else ("phone",))
        await storage.put(source_key(job.id), recording, content_type="audio/wav")
        job = await claimed(connection)
        assert job.lease_token is not None
        key = transcript_key(job.id, job.lease_token)
        await storage.put(key, encode(Transcript("", Language("en", 1.0), 30.0, LINES, (), {}, {})), content_type="application/json")
        keys = {"transcript": key}
        if redacted is not None:
            keys["audio"] = audio_key(job.id, job.lease_token)
            await storage.put(keys["audio"], redacted, content_type="audio/mpeg")
        result = Result(bucket=storage.bucket, keys=keys, language="en", duration=30.0, speakers=speakers)
        done = await store.finish(connection, job, result)
        assert done is not None
        return done


async def ask(pool: Pool, storage: Storage, broker: Broker, job: Job | None = None, *, times: int = 1) -> Wanted:
    """Have an archive asked for, and hand that to whoever makes them, so many times."""
    job = job or await transcribed(pool, storage, b"sound")
    wanted = Wanted(job.id, Cut(format="wav"))
    async with pool.acquire() as connection:
        await archives.ask(connection, wanted)
    data, now = msgspec.json.encode(wanted), datetime.now(UTC)
    event = Event(id=EventId(ids.new()), type="archive.requested", source="/verbatim", subject=str(wanted.job_id), time=now, data=data)
    for _ in range(times):
        await broker.publish(event, mandatory=True)
    return wanted


def path(job: Job) -> str:
    return f"/api/v1/jobs/{job.id}/archive"


async def test_an_archive(client: httpx.AsyncClient, maker: Archives, pool: Pool, storage: Storage) -> None:
    """202 until it is made, once for however many ask; then a link to the zip, which goes when the job does."""
    job = await transcribed(pool, storage, recordings.sample())
    first, second = [await client.get(path(job), params={"by": "speaker", "format": "flac"}) for _ in range(2)]
    for answer in (first, second):
        assert (answer.status_code, answer.json()["code"]) == (202, "archive_not_ready") or answer.status_code == 302
        assert answer.status_code == 302 or int(answer.headers["retry-after"]) > 0
    link = ""

    async def made() -> bool:
        nonlocal link
        answer = await client.get(path(job), params={"by": "speaker", "format": "flac"})
        link = answer.headers.get("location", "")
        return answer.status_code == 302

    await wait_until(made, "the archive", limit=60)
    async with httpx.AsyncClient(timeout=60) as anyone:
        answer = await anyone.get(link)
    assert "talk-speaker-flac.zip" in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as zipped:
        assert [name for name in zipped.namelist() if "clips/" in name] == ["clips/0001-A.flac", "clips/0002-B.flac"]
        assert msgspec.json.decode(zipped.read("metadata.json"))["clips"][1]["seconds"] == pytest.approx(5.5)

    async def settled() -> bool:
        return not await pool.fetch("select 1 from archive_requests")

    await wait_until(settled, "the request to be forgotten")  # the object is there first
    assert (await client.delete(f"/api/v1/jobs/{job.id}")).status_code == 204
    assert [found.key async for found in storage.objects()] == []


async def test_clips_of_what_was_redacted_are_cut_from_the_copy(maker: Archives, pool: Pool, storage: Storage, broker: Broker) -> None:
    """Also while the recording is still there: here, the copy is silent and the recording is not."""
    silence = recordings.wav(bytes(30 * 2 * 16_000))
    job = await transcribed(pool, storage, recordings.sample(), redacted=silence)
    await ask(pool, storage, broker, job)

    async def made() -> bool:
        return bool([found async for found in storage.objects() if found.key.endswith(".zip")])

    await wait_until(made, "the archive", limit=60)
    [archive] = [await storage.get(found.key) async for found in storage.objects() if found.key.endswith(".zip")]
    with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
        clips = [zipped.read(name) for name in zipped.namelist() if "clips/" in name]
    sounds = []
    for clip in clips:
        with wave.open(io.BytesIO(clip)) as reader:
            sounds.append(reader.readframes(reader.getnframes()))
    assert sounds == [bytes(4 * 2 * 16_000), bytes(11 * 16_000)]


async def test_what_cannot_be_had(client: httpx.AsyncClient, maker: Archives, pool: Pool, storage: Storage) -> None:
    """Each reason is told: a recording that cannot be cut or is gone, no speakers, a parameter, a job that is not done or is nobody's."""
    broken = await transcribed(pool, storage, b"this is not a recording")

    async def told() -> bool:
        return (await client.get(path(broken))).status_code == 409

    await wait_until(told, "the reason", limit=60)
    assert (await client.get(path(broken))).json()["code"] == "archive_failed"

    unmatched = await transcribed(pool, storage, recordings.sample(), reference=(Line(1, "Nobody says this."),))

    async def nothing() -> bool:
        return (await client.get(path(unmatched), params={"by": "line"})).status_code == 409

    await wait_until(nothing, "the reason", limit=60)
    assert (await client.get(path(unmatched), params={"by": "line"})).json()["code"] == "nothing_to_cut"

    silent = await transcribed(pool, storage, recordings.sample(), speakers=0)
    assert (await client.get(path(silent), params={"by": "speaker"})).json()["code"] == "no_speakers"
    assert (await client.get(path(silent), params={"by": "line"})).json()["code"] == "no_reference"
    wrong = await client.get(path(silent), params={"format": "ogg"})
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["field"]) == (422, "invalid_option", "format")
    await storage.delete([silent.source_key])
    gone = await client.get(path(silent))
    assert (gone.status_code, gone.json()["code"]) == (410, "audio_deleted")

    async with pool.acquire() as connection:
        waiting = await queued(connection)
    early = await client.get(path(waiting))
    assert (early.status_code, early.json()["code"]) == (202, "not_ready")
    await client.post(f"/api/v1/jobs/{waiting.id}/cancel")
    assert (await client.get(path(waiting))).json()["code"] == "job_cancelled"
    await client.delete(f"/api/v1/jobs/{waiting.id}")
    assert (await client.get(path(waiting))).status_code == 404


async def test_a_disk_that_refuses_costs_an_attempt(pool: Pool, storage: Storage, broker: Broker, tmp_path: Path) -> None:
    """It is no database that is away: the request is not held until the disk has room, and neither others nor the service suffer."""
    await ask(pool, storage, broker)
    stopping = asyncio.Event()
    running = asyncio.create_task(Archives(pool, storage, broker, tmp_path / "unmounted").run(stopping))

    async def counted() -> bool:
        return bool(await pool.fetchval("select attempt from archive_requests"))

    await wait_until(counted, "the attempt to be counted", limit=60)
    stopping.set()
    await running


async def test_two_make_the_same(pool: Pool, storage: Storage, broker: Broker, tmp_path: Path) -> None:
    """Of a request that was delivered twice whoever is second has made what the first has, which stays."""
    waits = """
import os, sys, time
open(sys.argv[1] + "-begun", "w")
while not os.path.exists(sys.argv[1]):
    time.sleep(0.05)
os.write(1, b"zip")
"""
    leaves = [tmp_path / f"leave-{number}" for number in range(2)]
    stopping = asyncio.Event()
    running = [
        asyncio.create_task(Archives(pool, storage, broker, tmp_path, command=(sys.executable, "-c", waits, str(leave))).run(stopping))
        for leave in leaves
    ]
    wanted = await ask(pool, storage, broker, times=2)
    await wait_until(lambda: all(Path(f"{leave}-begun").exists() for leave in leaves), "both to make it", limit=60)
    for leave in leaves:
        leave.touch()
        await wait_until(lambda: storage.exists(wanted.key), "the archive", limit=60)
    stopping.set()
    await asyncio.gather(*running)
    assert await storage.get(wanted.key) == b"zip"


async def test_what_is_being_made_can_be_stopped(pool: Pool, storage: Storage, broker: Broker, stack: Stack, tmp_path: Path) -> None:
    """Though the store does not answer, and the process that cuts is left with what nobody reads."""
    await ask(pool, storage, broker)
    flood = (sys.executable, "-c", "import os\nwhile True: os.write(1, bytes(2**16))")
    begun = asyncio.Event()

    def begins(request: web.Request) -> bool:
        if "uploads" in request.query:
            begun.set()
        return begun.is_set()

    credentials = {"access_key": stack.s3.access_key, "secret_key": stack.s3.secret_key, "region": "us-east-1"}
    async with (
        gateway(stack.s3.endpoint_url or "", storage) as (between, url),
        stores.connect(endpoint_url=url, bucket=storage.bucket, patience=timedelta(seconds=2), **credentials) as seen,
    ):
        between.stuck = begins
        running = asyncio.create_task(Archives(pool, seen, broker, tmp_path, command=flood).run(asyncio.Event()))
        await asyncio.wait_for(begun.wait(), 60)
        running.cancel()
        done, _ = await asyncio.wait({running}, timeout=60)
        assert done


async def test_who_cuts_knows_nothing_that_it_need_not(pool: Pool, storage: Storage, broker: Broker, tmp_path: Path) -> None:
    """Passwords and keys of the transcriber's environment are not in its own, which is here what it writes."""
    await ask(pool, storage, broker)
    stopping = asyncio.Event()
    command = (sys.executable, "-c", "import os; print(dict(os.environ))")
    running = asyncio.create_task(Archives(pool, storage, broker, tmp_path, command=command).run(stopping))

    async def made() -> bool:
        return bool([found async for found in storage.objects() if found.key.endswith(".zip")])

    await wait_until(made, "what it writes", limit=60)
    stopping.set()
    await running
    [written] = [await storage.get(found.key) async for found in storage.objects() if found.key.endswith(".zip")]
    assert b"PATH" in written
    assert b"PYTEST_CURRENT_TEST" not in written


async def test_asking_and_failing(pool: Pool) -> None:
    """Who asks twice makes one request; a failure that may pass is tried a few times; one that is old is asked for anew; expiry ends it."""
    async with pool.acquire() as connection:
        await queued(connection)
        job = await finished(connection, await claimed(connection))
        wanted = Wanted(job.id, Cut())
        await connection.execute("delete from outbox")
        assert [await archives.ask(connection, wanted) for _ in range(2)] == [None, None]
        assert len(await outbox.take(connection, 10)) == 1
        assert [await archives.fail(connection, wanted, BROKEN) for _ in range(3)] == [True, True, False]
        assert await archives.find(connection, wanted) is None
        assert await archives.ask(connection, wanted) == BROKEN
        await connection.execute("update archive_requests set requested_at = now() - interval '1 hour'")
        assert await archives.ask(connection, wanted) is None
        assert await archives.find(connection, wanted) is not None
        assert await archives.fail(connection, wanted, Failure("no", "No.", retryable=False)) is False
        await connection.execute("update archive_requests set requested_at = now() - interval '1 hour'")
        await archives.ask(connection, wanted)
        await connection.execute("update jobs set expires_at = now() - $1::interval", HOUR)
        await removal.expire(connection, [job])
        assert await archives.find(connection, wanted) is None
        assert await archives.finish(connection, wanted) is False
