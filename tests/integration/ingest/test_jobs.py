"""Submitting and reading jobs through the real API, with no transcriber running."""

import asyncio
import hashlib
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest

from common import ids, rendering
from common.broker import Broker
from common.database import connect
from common.ids import JobId, LeaseToken
from common.jobs import objects, removal
from common.jobs import store as jobs
from common.jobs.job import Failure, Result
from common.storage import Storage
from common.storage_keys import audio_key, transcript_key
from common.transcript import Language, Segment, Transcript, encode
from tests.integration.engine.recorded import silent_video
from tests.integration.ingest.conftest import until_ready
from tests.running import Services, wait_until
from tests.tap import tap

JOBS = "/api/v1/jobs"


async def submit(client: httpx.AsyncClient, sample: bytes, **fields: str) -> dict[str, Any]:
    answer = await client.post(JOBS, files={"file": ("talk.wav", sample)}, data=fields)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_submission_is_stored_and_queued(client: httpx.AsyncClient, store: Storage, sample: bytes) -> None:
    """A recording is stored byte for byte under the job's id, and the job says so."""
    answer = await client.post(JOBS, files={"file": ("talk.wav", sample)}, data={"language": "en", "metadata": '{"call": "7"}'})
    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"{JOBS}/{job['id']}"
    assert job["status"] == "queued"
    assert job["source"] == {
        "filename": "talk.wav",
        "content_type": "audio/wav",
        "size": len(sample),
        "sha256": hashlib.sha256(sample).hexdigest(),
        "kind": "audio",
        "duration": 30.0,
        "duration_estimated": False,
        "deleted_at": None,
    }
    assert job["options"] == {"language": "en", "metadata": {"call": "7"}}
    assert await store.get(f"audio/{job['id']}.source") == sample
    assert (await client.get(answer.headers["location"])).json() == job


async def test_a_video_is_called_one(client: httpx.AsyncClient, broker: Broker, tmp_path: Path) -> None:
    """In the answer, in every document of the job, and in events, which webhooks show alike."""
    video = silent_video(tmp_path / "film.mp4").read_bytes()
    async with tap(broker, "job.created") as heard:
        job = (await client.post(JOBS, files={"file": ("film.wav", video)})).json()
        [event] = await heard.until(1)
    read = (await client.get(f"{JOBS}/{job['id']}")).json()
    told = [msgspec.json.decode(event.body), read, job]
    assert [(each["source"]["kind"], each["source"]["content_type"]) for each in told] == [("video", "video/mp4")] * 3


async def test_fields_in_any_order(client: httpx.AsyncClient, sample: bytes) -> None:
    """Options may come after the recording."""
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.wav"\r\n\r\n' + sample + b"\r\n"
        b'--b\r\nContent-Disposition: form-data; name="task"\r\n\r\ntranslate\r\n--b--\r\n'
    )
    answer = await client.post(JOBS, content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 202
    assert answer.json()["options"] == {"task": "translate"}


async def test_submission_is_announced_in_its_trace(client: httpx.AsyncClient, sample: bytes, database: asyncpg.Connection) -> None:
    """A client's own trace goes on in the job; the event leaves the outbox once the broker has it."""
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    answer = await client.post(JOBS, files={"file": ("talk.wav", sample)}, headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"})
    assert answer.json()["trace_id"] == trace_id

    async def published() -> bool:
        return bool(await database.fetchval("select count(*) = 0 from outbox"))

    await wait_until(published, "the event to leave the outbox")


async def test_a_job_keeps_its_recording_though_the_connection_breaks(
    service: Services, sample: bytes, store: Storage, database: asyncpg.Connection, database_url: str
) -> None:
    """Once it is committed: when every connection breaks that is given back from then on, the submission is answered, and whole."""
    await database.execute(
        "create function public.pg_advisory_unlock_all() returns void language sql"
        " as 'select pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid()) from public.jobs'"
    )
    name = urlsplit(database_url).path.lstrip("/")
    await database.execute(f'alter database "{name}" set search_path = public, pg_catalog')
    ingest = await service("ingest")
    async with httpx.AsyncClient(base_url=ingest.url, timeout=90) as client:
        job = await submit(client, sample)
    assert await store.get(f"audio/{job['id']}.source") == sample


async def test_pages_are_newest_first_and_complete(client: httpx.AsyncClient, sample: bytes) -> None:
    """Following the cursor shows every job once, newest first."""
    ids_ = [(await submit(client, sample))["id"] for _ in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = (await client.get(JOBS, params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [job["id"] for job in page["jobs"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ids_[::-1]
    assert (await client.get(JOBS, params={"status": "completed"})).json()["jobs"] == []


async def test_wait_returns_when_the_status_changes(client: httpx.AsyncClient, sample: bytes, database_url: str) -> None:
    """A long poll ends as soon as the job's status has changed, well before its limit."""
    job = await submit(client, sample)
    waiting = asyncio.create_task(client.get(f"{JOBS}/{job['id']}", params={"wait": 60}))
    async with connect(database_url, name="test") as pool, pool.acquire() as connection:
        await asyncio.sleep(0.2)  # the poll must be waiting; too short a sleep would still pass, only prove less
        began = time.monotonic()
        assert await jobs.claim(connection, LeaseToken(ids.new()), lease=timedelta(seconds=15), worker="test")
    answer = await waiting
    assert answer.json()["status"] == "processing"
    assert time.monotonic() - began < 30


async def test_wait_ends_at_its_limit(client: httpx.AsyncClient, sample: bytes) -> None:
    """A long poll of a job that does not change answers with the job as it is."""
    job = await submit(client, sample)
    answer = await client.get(f"{JOBS}/{job['id']}", params={"wait": 0.3})
    assert answer.json() == job


async def finish(database_url: str, store: Storage, job_id: str, *, audio: bytes | None = None) -> None:
    """What a transcriber would do to the job; `audio` is its redacted copy."""
    lease = LeaseToken(ids.new())
    async with connect(database_url, name="test") as pool, pool.acquire() as connection:
        job = await jobs.claim(connection, lease, lease=timedelta(seconds=15), worker="test")
        assert job is not None
        assert str(job.id) == job_id
        key = transcript_key(job.id, lease)
        segments = (
            Segment(0, 0.5, 2.25, " Hello <there> & all.", 0.9, (), speaker="SPEAKER_00"),
            Segment(1, 3661.0, 3662.5, "Bye.", 0.9, ()),
        )
        document = Transcript("Hello <there> & all. Bye.", Language("en", 0.99), 3700.0, segments, (), {}, {})
        await store.put(key, encode(document), content_type="application/json")
        keys = {"transcript": key}
        if audio is not None:
            keys["audio"] = audio_key(job.id, lease)
            await store.put(keys["audio"], audio, content_type="audio/mpeg")
        result = Result(bucket=store.bucket, keys=keys, language="en", duration=3700.0, speakers=1)
        assert await jobs.finish(connection, job, result)


async def test_transcript_in_every_format(client: httpx.AsyncClient, store: Storage, sample: bytes, database_url: str) -> None:
    """A completed job's transcript comes in each format, by parameter or by Accept header."""
    job = await submit(client, sample)
    await finish(database_url, store, job["id"])
    url = f"{JOBS}/{job['id']}/transcript"
    document = (await client.get(url)).json()
    assert [segment["text"] for segment in document["segments"]] == [" Hello <there> & all.", "Bye."]
    assert (await client.get(url, params={"format": "text"})).text == "SPEAKER_00: Hello <there> & all.\nBye.\n"
    srt = await client.get(url, headers={"Accept": "application/x-subrip"})
    assert srt.headers["content-type"].startswith("application/x-subrip")
    assert "00:00:00,500 --> 00:00:02,250\nSPEAKER_00: Hello" in srt.text
    assert "01:01:01,000 --> 01:01:02,500\nBye." in srt.text
    vtt = await client.get(url, params={"format": "vtt"})
    assert vtt.text.startswith("WEBVTT")
    assert "00:00:00.500 --> 00:00:02.250" in vtt.text
    assert vtt.headers["vary"] == "Accept"
    for kind, media in rendering.MEDIA_TYPES.items():
        answer = await client.get(url, params={"format": kind})
        assert (answer.status_code, answer.headers["content-type"]) == (200, media)


async def test_transcript_that_is_not_there(client: httpx.AsyncClient, sample: bytes, database_url: str) -> None:
    """Not ready is 202 with Retry-After, failed is 409 with the reason, expired is 410, and the job says what was deleted."""
    job = await submit(client, sample)
    url = f"{JOBS}/{job['id']}/transcript"
    early = await client.get(url)
    assert (early.status_code, early.json()["code"], early.headers["retry-after"]) == (202, "not_ready", "2")
    async with connect(database_url, name="test") as pool, pool.acquire() as connection:
        claimed = await jobs.claim(connection, LeaseToken(ids.new()), lease=timedelta(seconds=15), worker="test")
        assert claimed is not None
        await jobs.fail(connection, claimed, Failure("no_audio_stream", "There is no sound in it.", retryable=False))
        failed = await client.get(url)
        assert (failed.status_code, failed.json()["code"], failed.json()["job_error"]["code"]) == (409, "job_failed", "no_audio_stream")
        nothing = await client.get(f"{JOBS}/{job['id']}/receipt")
        assert (nothing.status_code, nothing.json()["code"]) == (404, "receipt_not_found")
        await connection.execute("update jobs set expires_at = now() - interval '1 second'")
        assert await removal.expire(connection, [claimed])
    expired = await client.get(url)
    assert (expired.status_code, expired.json()["code"]) == (410, "result_expired")
    receipt = (await client.get(f"{JOBS}/{job['id']}")).json()["receipt"]
    assert [(each["what"], each["sha256"]) for each in receipt["objects"]] == [("recording", job["source"]["sha256"])]
    assert (await client.get(f"{JOBS}/{job['id']}/receipt")).json() == receipt


async def test_transcript_that_is_just_being_deleted(client: httpx.AsyncClient, store: Storage, sample: bytes, database_url: str) -> None:
    """The bytes go before the row says expired; in between, the result has expired all the same. One that nobody deleted is lost."""
    job = await submit(client, sample)
    await finish(database_url, store, job["id"])
    await store.delete_prefix(f"results/{job['id']}.")
    answer = await client.get(f"{JOBS}/{job['id']}/transcript")
    assert (answer.status_code, answer.json()["code"]) == (410, "result_expired")
    async with connect(database_url, name="test") as pool, pool.acquire() as connection:
        await objects.mark_lost(connection, {JobId(UUID(job["id"])): ["transcript"]})
    answer = await client.get(f"{JOBS}/{job['id']}/transcript")
    assert (answer.status_code, answer.json()["code"]) == (410, "result_lost")


async def test_health_and_metrics(client: httpx.AsyncClient) -> None:
    """Ready names each dependency; metrics count jobs and requests."""
    assert await until_ready(client) == {"database": "ok", "broker": "ok", "storage": "ok", "storage_space": "ok"}
    assert (await client.get("/health/live")).status_code == 200
    await client.get(JOBS)
    metrics = (await client.get("/metrics")).text
    assert 'verbatim_jobs{status="queued"} 0.0' in metrics
    assert 'verbatim_http_requests_total{method="GET",status="200"}' in metrics


async def test_safety_headers_are_on_every_answer(client: httpx.AsyncClient) -> None:
    """What a browser may do with an answer is said of all of them: pages, documents, probes, refusals, tus' own."""
    paths = ("/schema", "/asyncapi.json", "/health", "/health/ready", "/metrics", JOBS, "/nowhere")
    for answer in (*[await client.get(path) for path in paths], await client.options("/files")):
        found = [answer.headers.get(name) for name in ("x-content-type-options", "x-frame-options", "referrer-policy")]
        assert found == ["nosniff", "DENY", "no-referrer"], answer.url
        assert "no-store" in answer.headers["cache-control"], answer.url


async def test_openapi_document_is_valid(client: httpx.AsyncClient) -> None:
    """The served OpenAPI document passes an independent validator and describes the submission form."""
    from openapi_spec_validator import validate  # noqa: PLC0415 - slow to import, needed once

    document = (await client.get("/schema/openapi.json")).json()
    validate(document)
    form = document["paths"][JOBS]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert "file" in form["properties"]


@pytest.mark.parametrize(("host", "starts"), [("0.0.0.0", False), ("127.0.0.1", True)])
def test_auth_off_is_for_loopback(host: str, *, starts: bool) -> None:
    """`AUTH=off` on an address that others can reach is refused at start."""
    from common.settings import SettingsError, load  # noqa: PLC0415
    from services.ingest.settings import Settings  # noqa: PLC0415

    environ = {
        "DATABASE_URL": "postgresql://d",
        "AMQP_URL": "amqp://a",
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AUTH": "off",
        "HOST": host,
    }
    if starts:
        assert load(Settings, environ).host == host
    else:
        with pytest.raises(SettingsError, match="AUTH=off"):
            load(Settings, environ)
