"""The earlier services' paths on the real API: what each answers while a job waits, works, is done and has failed, and what it refuses."""

import re
from typing import Any

import httpx

from common.database import Pool
from common.jobs.job import Failure, Job
from common.storage import Storage
from common.transcript import Transcript
from tests.integration.ingest.test_lexicons import make
from tests.running import Services, wait_until
from tests.transcribing import TALK, transcribing

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
    for query, ids in {"status=completed": [first["job_id"]], "status=queued": [], "limit=1": [second["job_id"]]}.items():
        assert [job["job_id"] for job in (await client.get(f"/jobs?{query}")).json()["jobs"]] == ids
    for query in ("status=done", "limit=0", "limit=x"):
        assert (await client.get(f"/jobs?{query}")).status_code in {400, 422}


async def test_waiting_for_the_result(client: httpx.AsyncClient, sample: bytes, pool: Pool, store: Storage) -> None:
    """A synchronous call answers with the result; one that fails says why in the service's shape."""
    async with transcribing(pool, store, hear):
        found = await sent(client, "/transcribe", sample)
        broken = await client.post("/transcribe", files={"file": ("broken.wav", sample)})
    assert (found["text"], found["language"], len(found["segments"])) == (TALK.text, "en", 2)
    refused(broken, 400, BROKEN.message)


async def test_storage(client: httpx.AsyncClient, sample: bytes, pool: Pool, store: Storage, service: Services) -> None:
    """Jobs with a lexicon and both texts; what is stored; a cleanup that waits for its janitor, and counts."""
    lexicon = (await make(client))["id"]
    created = await sent(client, "/api/jobs", sample, data={"lexicon_id": lexicon})
    assert (created["status"], created["lexicon_id"], created["original_text"]) == ("pending", lexicon, None)
    assert created["audio_file_path"] == f"audio/{created['id']}/source"
    async with transcribing(pool, store, hear):
        done = await ended(client, f"/api/jobs/{created['id']}")
    assert (done["original_text"], done["processed_text"], done["error_message"]) == (TALK.text, TALK.text, None)
    missing = await client.post("/api/jobs", files={"file": ("talk.wav", sample)}, data={"lexicon_id": NOBODY})
    assert (missing.status_code, missing.json()["code"]) == (422, "invalid_option")
    assert (await client.get("/storage/stats")).json()["level"] == "ok"
    await service("janitor", CLEANUP_INTERVAL_MINUTES="600")
    cleaned = (await client.post("/admin/cleanup")).json()
    assert (cleaned["deleted"], cleaned["failed"], cleaned["errors"]) == (0, 0, [])
