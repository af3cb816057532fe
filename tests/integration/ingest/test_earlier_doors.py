"""The earlier services' paths on the real API: what each answers while a job waits, works, is done and has failed, and what it refuses."""

import asyncio
import io
import re
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from common.broker import Broker
from common.database import Pool
from common.jobs.job import Failure, Job
from common.storage import Storage
from common.transcript import Diagnostics, ReferenceLine, ReferenceReport, Transcript
from services.transcriber.archives import Archives
from tests.integration.ingest.test_lexicons import make
from tests.jobs import HOUR, LOST, claimed, queued
from tests.running import Services, wait_until
from tests.transcribing import SEGMENTS, TALK, transcribing

BROKEN = Failure("unsupported_media", "The recording cannot be decoded.", retryable=False)
NOBODY = "01a1fc79-ac2b-701c-998d-fef8062222ee"
_PLAIN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_ZONED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def hear(job: Job) -> Transcript | Failure:
    return BROKEN if job.source.filename.startswith("broken") else TALK


async def sent(client: httpx.AsyncClient, path: str, sample: bytes, *, field: str = "file", name: str = "talk.wav", **more: Any) -> Any:
    answer = await client.post(path, files={field: (name, sample)}, **more)
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


async def ended(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    """The job at `path` once it is over."""
    found: dict[str, Any] = {}

    async def over() -> bool:
        found.update((await client.get(path)).json())
        return found["status"] in {"completed", "failed"}

    await wait_until(over, "the job to end")
    return found


def refused(answer: httpx.Response, status: int, detail: str) -> None:
    assert (answer.status_code, answer.json()["detail"]) == (status, detail)


async def test_the_queue(client: httpx.AsyncClient, sample: bytes, pool: Pool, store: Storage) -> None:
    """A job from its submission to its result or error; lists by status and limit, newest first; the queue's length and health."""
    first = await sent(client, "/transcribe/async", sample, data={"enable_diarization": "True", "language": "EN", "whatever": "1"})
    assert first == {
        "success": True,
        "job_id": first["job_id"],
        "status": "queued",
        "message": "Job created successfully. Use GET /jobs/{job_id} to check status.",
    }
    path = f"/jobs/{first['job_id']}"
    waiting = (await client.get(path)).json()
    assert (waiting["status"], waiting["progress"], waiting["started_at"], waiting["completed_at"]) == ("queued", 0, None, None)
    assert _PLAIN.fullmatch(waiting["created_at"])
    assert "result" not in waiting
    assert (await client.get(f"/api/v1{path}")).json()["options"] == {"diarize": True, "language": "en"}
    assert (await client.get("/queue/stats")).json() == {"queue_length": 1, "redis_healthy": True}
    second = await sent(client, "/transcribe/async", sample, name="broken.wav")
    async with transcribing(pool, store, hear):
        done = await ended(client, path)
        failed = await ended(client, f"/jobs/{second['job_id']}")
    assert (done["status"], done["progress"]) == ("completed", 100)
    assert {name: done["result"][name] for name in ("text", "language", "duration")} == {
        "text": TALK.text,
        "language": "en",
        "duration": 30.0,
    }
    assert [segment["speaker"] for segment in done["result"]["segments"]] == ["SPEAKER_00", "SPEAKER_01"]
    assert done["result"]["processing_time"] >= 0
    assert (failed["status"], failed["error"]) == ("failed", BROKEN.message)
    listed = (await client.get("/jobs")).json()
    assert (listed["total"], [job["job_id"] for job in listed["jobs"]]) == (2, [second["job_id"], first["job_id"]])
    assert listed["jobs"][1]["original_filename"] == "talk.wav"
    for query, ids in {"status=completed": [first["job_id"]], "status=queued": [], "limit=1": [second["job_id"]]}.items():
        assert [job["job_id"] for job in (await client.get(f"/jobs?{query}")).json()["jobs"]] == ids
    key = {"Idempotency-Key": "one"}
    again = [await sent(client, "/transcribe/async", sample, headers=key) for _ in range(2)]
    assert again[0] == again[1]
    assert (await client.get("/jobs?limit=1&offset=0")).json()["total"] == 1  # what was never looked at still is not
    for query in ("status=done", "limit=0", "limit=1001", "limit=x"):
        refused = await client.get(f"/jobs?{query}")
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_option")
        assert refused.json()["detail"].startswith(query.partition("=")[0])


async def test_waiting_for_the_result(client: httpx.AsyncClient, sample: bytes, pool: Pool, store: Storage) -> None:
    """A synchronous call answers with the result, in the fields of both documents; one that fails says why in the service's shape."""
    async with transcribing(pool, store, hear):
        found = await sent(client, "/transcribe", sample)
        unsplit = await sent(client, "/transcribe", sample, field="audio_file", name="surah_12.mp3", data={"split_audio": "false"})
        broken = await client.post("/transcribe", files={"file": ("broken.wav", sample)})
    assert (found["text"], found["language"], len(found["segments"])) == (TALK.text, "en", 2)
    assert (unsplit["text"], unsplit["transcription"], unsplit["total_ayahs"]) == (TALK.text, TALK.text, len(SEGMENTS))
    refused(broken, 400, BROKEN.message)


async def test_media_files(client: httpx.AsyncClient, sample: bytes, pool: Pool, store: Storage) -> None:
    """`/process` with its query, `/status` at each step, `/result` with 202, 200 and 500, the work under way, the synchronous calls."""
    query = {"language": "en", "webhook_url": "https://example.com/hook?secret=1"}
    begun = await sent(client, "/process", sample, params=query)
    assert (begun["status"], begun["filename"], begun["file_size"], begun["file_type"]) == ("pending", "talk.wav", len(sample), "audio")
    assert begun["message"] == "File uploaded successfully. Processing started."
    assert _ZONED.fullmatch(begun["created_at"])
    job_id = begun["job_id"]
    native = (await client.get(f"/api/v1/jobs/{job_id}")).json()
    assert (native["options"]["topics"], native["options"]["webhook_payload"]) == (True, "process")
    pending = await client.get(f"/result/{job_id}")
    assert (pending.status_code, pending.json()["status"], pending.json()["progress_percentage"]) == (202, "pending", 0)
    async with pool.acquire() as connection:
        taken = await claimed(connection)
        working = (await client.get("/jobs/processing")).json()
        assert (working["active_jobs"], working["processing_job_ids"]) == (1, [job_id])
        status = (await client.get(f"/status/{job_id}")).json()
        assert (status["status"], status["current_step"], status["has_result"]) == ("processing", "Fetching the file", False)
        assert status["webhook_url"] == "https://example.com/hook"
        processing = await client.get(f"/result/{job_id}")
        assert (processing.status_code, processing.json()["message"]) == (202, "Job is currently being processed")
        await connection.execute("update jobs set lease_until = now() - interval '1 s' where id = $1", taken.id)
    assert (await client.post("/jobs/resume")).json()["jobs_reset"] == 1
    broken = await sent(client, "/process", sample, name="broken.mp4", data={"language": "German"})
    assert (await client.get(f"/status/{broken['job_id']}")).json()["language"] == "de"
    async with transcribing(pool, store, hear):
        await ended(client, f"/status/{job_id}")
        await ended(client, f"/status/{broken['job_id']}")
        direct = [await sent(client, path, sample, params={"language": "en"}) for path in ("/process-audio", "/process-video")]
    result = await client.get(f"/result/{job_id}")
    assert (result.status_code, result.json()["status"]) == (200, "completed")
    assert result.json()["result"]["transcript"] == TALK.text == direct[0]["transcript"] == direct[1]["transcript"]
    failed = await client.get(f"/result/{broken['job_id']}")
    assert (failed.status_code, failed.json()["error_message"]) == (500, BROKEN.message)
    health = (await client.get("/health")).json()
    assert (health["status"], health["background_processor"]["status"], health["active_jobs"]) == ("healthy", "running", 0)


async def test_clips(client: httpx.AsyncClient, sample: bytes, pool: Pool, store: Storage, broker: Broker, tmp_path: Path) -> None:
    """A recording in clips: not before it is completed, then a zip and what is in it; lost jobs resumed, finished ones cleared, counted."""
    submitted = await sent(client, "/transcribe/async", sample, field="audio_file", name="surah_12.mp3")
    assert submitted["message"] == "Job queued for processing"
    path = f"/jobs/{submitted['job_id']}"
    status = (await client.get(f"{path}/status")).json()
    assert (status["status"], status["original_filename"], status["started_at"]) == ("queued", "surah_12.mp3", None)
    for what in ("download", "metadata"):
        refused(await client.get(f"{path}/{what}"), 400, "Job is not completed yet. Current status: queued")
    archives, stopping = Archives(pool, store, broker, tmp_path), asyncio.Event()
    cutting = asyncio.create_task(archives.run(stopping))
    async with transcribing(pool, store, hear):
        done = await ended(client, f"{path}/status")
        assert (done["download_url"], done["metadata_url"]) == (f"{path}/download", f"{path}/metadata")
        zipped = await client.get(done["download_url"])
        assert (zipped.status_code, zipped.headers["content-type"]) == (200, "application/zip")
        metadata = (await client.get(done["metadata_url"])).json()
        with zipfile.ZipFile(io.BytesIO(zipped.content)) as archive:
            assert {ayah["filename"] for ayah in metadata["ayahs"]} <= set(archive.namelist())
        assert (metadata["total_ayahs"], metadata["transcription"]) == (len(SEGMENTS), TALK.text)
        assert metadata["diagnostics"]["last_ayah_end_timestamp"] == "00:00:14.500"
        at_once = await client.post("/transcribe", files={"audio_file": ("surah.mp3", sample)}, data={"split_audio": "true"})
        assert (at_once.status_code, at_once.headers["content-type"]) == (200, "application/zip")
        broken = await sent(client, "/transcribe/async", sample, field="audio_file", name="broken.mp3")
        failed = await ended(client, f"/jobs/{broken['job_id']}/status")
        assert failed["error"] == BROKEN.message
        refused(await client.get(f"/jobs/{broken['job_id']}/download"), 400, "Job is not completed yet. Current status: failed")
    stopping.set()
    await cutting
    async with pool.acquire() as connection:
        for lease in (LOST, HOUR):
            await queued(connection)
            await claimed(connection, lease=lease)
    resumed = (await client.post("/jobs/resume")).json()
    assert resumed == {
        "success": True,
        "message": "Job queue resumed. 1 processing job(s) reset to queued.",
        "jobs_reset": 1,
        "worker_running": True,
        "worker_processing": False,
    }
    cleared = (await client.delete("/jobs/finished")).json()
    assert (cleared["success"], cleared["jobs_deleted"]) == (True, 3)
    assert cleared["message"] == f"Cleared 3 finished job(s) and removed {cleared['files_removed']} file(s)"
    again = (await client.delete("/jobs/finished")).json()
    assert again == {"success": True, "message": "No finished jobs to clear", "jobs_deleted": 0, "files_removed": 0}
    assert [job["status"] for job in (await client.get("/jobs")).json()["jobs"]] == ["processing", "queued"]


def recite(job: Job) -> Transcript | Failure:
    """A transcript in which lines 0 and 2 are found, or none."""
    found = [
        ReferenceLine(number=number, text=text, start=start, end=start + 4, coverage=1.0, readings=1, cutoff_uncertain=False)
        for number, text, start in (() if "other" in job.source.filename else ((0, "In the name", 6.7), (2, "Second line", 12.0)))
    ]
    diagnostics = Diagnostics(
        lines=3,
        found=len(found),
        coverage=0.7 if found else 0.0,
        missing=(1,),
        repeated=(),
        unmatched=(),
        last_end=found[-1].end if found else None,
        input_end=30.0,
    )
    return msgspec.structs.replace(TALK, reference=ReferenceReport(tuple(found), diagnostics))


async def test_clips_of_a_known_text(service: Services, sample: bytes, pool: Pool, store: Storage, broker: Broker, tmp_path: Path) -> None:
    """A recording whose name has the number of a text is split by its lines; when none of them is found it is completed all the same."""
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "112.txt").write_text("0\tIn the name\nFirst line\nSecond line\n")
    ingest = await service("ingest", REFERENCE_TEXTS_DIR=str(texts))
    stopping = asyncio.Event()
    cutting = asyncio.create_task(Archives(pool, store, broker, tmp_path).run(stopping))
    async with httpx.AsyncClient(base_url=ingest.url, timeout=90) as client, transcribing(pool, store, recite):
        jobs = [
            (await sent(client, "/transcribe/async", sample, field="audio_file", name=name))["job_id"]
            for name in ("surah_112.mp3", "surah_112-other.mp3")
        ]
        said, other = [await ended(client, f"/jobs/{job_id}/status") for job_id in jobs]
        metadata = (await client.get(said["metadata_url"])).json()
        assert [(ayah["ayah_number"], ayah["is_basmala"]) for ayah in metadata["ayahs"]] == [(0, True), (2, False)]
        assert (metadata["surah_number"], metadata["total_ayahs"], metadata["diagnostics"]["missing_ayahs"]) == (112, 1, [1])
        with zipfile.ZipFile(io.BytesIO((await client.get(said["download_url"])).content)) as archive:
            assert [name for name in archive.namelist() if "clips/" in name] == [ayah["filename"] for ayah in metadata["ayahs"]]
        assert other["status"] == "completed"
        assert (await client.get(other["metadata_url"])).json()["ayahs"] == []
        nothing = await client.get(other["download_url"])
        assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_to_cut")
        queued_kind = await sent(client, "/transcribe/async", sample, name="call_112.wav")
        assert "reference" not in (await client.get(f"/api/v1/jobs/{queued_kind['job_id']}")).json()["options"]
    stopping.set()
    await cutting


async def test_storage(client: httpx.AsyncClient, sample: bytes, pool: Pool, store: Storage, service: Services) -> None:
    """Jobs with a lexicon and both texts; what is stored; a cleanup that waits for its janitor, and counts."""
    lexicon = (await make(client))["id"]
    created = await sent(client, "/api/jobs", sample, data={"lexicon_id": lexicon, "language": "en"})
    assert (await client.get(f"/api/v1/jobs/{created['id']}")).json()["options"] == {"lexicon_id": lexicon, "language": "en"}
    assert (created["status"], created["lexicon_id"], created["original_text"]) == ("pending", lexicon, None)
    assert created["audio_file_path"] == f"audio/{created['id']}.source"
    async with transcribing(pool, store, hear):
        done = await ended(client, f"/api/jobs/{created['id']}")
    assert (done["original_text"], done["processed_text"], done["error_message"]) == (TALK.text, TALK.text, None)
    assert all(_ZONED.fullmatch(done[name]) for name in ("created_at", "started_at", "completed_at"))
    missing = await client.post("/api/jobs", files={"file": ("talk.wav", sample)}, data={"lexicon_id": NOBODY})
    assert (missing.status_code, missing.json()["code"]) == (422, "invalid_option")
    assert (await client.get("/storage/stats")).json()["level"] == "ok"
    await service("janitor", CLEANUP_INTERVAL_MINUTES="600")
    cleaned: dict[str, Any] = {}

    async def carried_out() -> bool:
        answer = await client.post("/admin/cleanup")
        cleaned.update(answer.json())
        return answer.status_code == 200  # a janitor that gets no processor time may take longer than such a call waits

    await wait_until(carried_out, "a cleanup in time", limit=120)
    assert (cleaned["deleted"], cleaned["failed"], cleaned["errors"]) == (0, 0, [])


async def test_refusals(client: httpx.AsyncClient, service: Services, sample: bytes) -> None:
    """Each in the documents' shape and words: no such job, no such format, no file, too large, a full store's limits as everywhere."""
    for path in ("/jobs/{}", "/status/{}", "/result/{}", "/jobs/{}/status", "/jobs/{}/download", "/jobs/{}/metadata", "/api/jobs/{}"):
        for job_id in (NOBODY, "abc123-def456-789"):
            refused(await client.get(path.format(job_id)), 404, "Job not found")
    for path, field in {"/transcribe/async": "audio_file", "/transcribe": "file", "/process": "file", "/api/jobs": "file"}.items():
        refused(await client.post(path, files={field: ("notes.xyz", b"text")}), 400, "Unsupported audio format: .xyz")
        nothing = await client.post(path, files={"other": (None, "nothing")})
        assert (nothing.status_code, nothing.json()["code"]) == (422, "file_missing")
    strict = await service("ingest", MAX_UPLOAD_BYTES="1000")
    async with httpx.AsyncClient(base_url=strict.url, timeout=90) as small:
        large = await small.post("/process", files={"file": ("talk.wav", sample)})
    assert (large.status_code, large.json()["code"]) == (400, "too_large")
    wrong = await client.post("/process", files={"file": ("talk.wav", sample)}, params={"language": "klingon"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_option")


@pytest.fixture
async def broker(amqp_url: str) -> AsyncIterator[Broker]:
    """The virtual host that ingest speaks to."""
    async with Broker(amqp_url, name="test") as opened:
        yield opened
