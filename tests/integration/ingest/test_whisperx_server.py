"""The first of the earlier services' documents, field by field: what its clients send and what they are answered."""

from typing import Any

import asyncpg
import httpx
import pytest

from common.database import Pool
from common.jobs import store
from common.jobs.job import Failure
from common.storage import Storage
from tests.jobs import claimed
from tests.running import Services, wait_until
from tests.transcribing import TALK, transcribing

HEAR, JOBS = "/v1/audio/transcriptions", "/v1/jobs"
NOTE = "Result not available"
RESULT = {
    "text": TALK.text,
    "language": "en",
    "speakers": ["SPEAKER_00", "SPEAKER_01"],
    "segments": [
        {
            "text": " Hello, this is Diane.",
            "start": 6.7,
            "end": 11.7,
            "speaker": "SPEAKER_00",
            "words": [{"word": "Hello,", "start": 6.7, "end": 7.1, "score": 0.9}],
        },
        {"text": " Hello Diane.", "start": 12.0, "end": 14.5, "speaker": "SPEAKER_01", "words": []},
    ],
}


async def submitted(client: httpx.AsyncClient, sample: bytes, **fields: str) -> str:
    answer = await client.post(HEAR, files={"file": ("audio.mp3", sample)}, data={"stored_output": "true", **fields})
    body = answer.json()
    assert (answer.status_code, body.keys(), body["status"]) == (200, {"job_id", "status", "message"}, "in_progress")
    return str(body["job_id"])


async def read(client: httpx.AsyncClient, job_id: str, **query: str) -> dict[str, Any]:
    answer = await client.get(f"{JOBS}/{job_id}", params=query)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def until(client: httpx.AsyncClient, job_id: str, status: str) -> dict[str, Any]:
    async def there() -> bool:
        return bool((await read(client, job_id, include_result="false"))["status"] == status)

    await wait_until(there, f"a job that is {status}")
    return await read(client, job_id)


async def test_a_job_from_its_submission_to_its_result(
    client: httpx.AsyncClient, pool: Pool, storage: Storage, sample: bytes, database: asyncpg.Connection
) -> None:
    """The id at once, the status with and without the result, the list of what is active; a note once the result has gone or expired."""
    job_id = await submitted(client, sample, enable_diarization="true", language="en")
    assert await database.fetchval("select options from jobs") == '{"diarize": true, "language": "en"}'
    waiting = await read(client, job_id)
    assert {name: waiting[name] for name in ("status", "progress", "result_available", "result_expires_at")} == {
        "status": "processing",
        "progress": "Waiting in the queue",
        "result_available": False,
        "result_expires_at": None,
    }
    assert not {"result", "result_note", "end_time", "error"} & waiting.keys()
    assert [job["job_id"] for job in (await client.get(JOBS)).json()["jobs"]] == [job_id]

    async with transcribing(pool, storage):
        done = await until(client, job_id, "completed")
    assert (done["progress"], done["result_available"]) == ("Done", True)
    assert done["end_time"] - done["start_time"] == pytest.approx(done["elapsed_time"], abs=0.01)
    assert done["result_expires_at"] > done["end_time"]
    assert (done["result"]["job_id"], done["result"]["status"]) == (job_id, "completed")
    assert 0 <= done["result"]["processing_time"] <= done["elapsed_time"] + 0.001
    assert done["result"]["result"] == RESULT
    assert "result" not in await read(client, job_id, include_result="false")
    assert (await client.get(JOBS)).json() == {"jobs": []}

    await storage.delete_prefix(f"results/{job_id}.")
    gone = await read(client, job_id)
    assert (gone["status"], gone["result_note"], "result" in gone) == ("completed", NOTE, False)
    await pool.execute("update jobs set expires_at = now()")
    assert not (await read(client, job_id, include_result="false"))["result_available"]
    await pool.execute("update jobs set status = 'expired', result = null")
    swept = await read(client, job_id)
    assert (swept["status"], swept["progress"], swept["result_note"]) == ("completed", "Done", NOTE)


async def test_what_comes_in_the_answer(client: httpx.AsyncClient, pool: Pool, storage: Storage, sample: bytes) -> None:
    """`stored_output=false` waits and has the result, no job's id; any of the fields is enough; a format may be named as for OpenAI."""
    async with transcribing(pool, storage):
        for fields in ({"stored_output": "false", "enable_diarization": "true", "language": "en"}, {"enable_diarization": "false"}):
            answer = await client.post(HEAR, files={"file": ("audio.mp3", sample)}, data=fields)
            assert answer.json().items() >= RESULT.items()
            assert answer.json().keys() - RESULT.keys() == {"processing_time"}
        named = await client.post(HEAR, files={"file": ("audio.mp3", sample)}, data={"stored_output": "false", "response_format": "text"})
        assert named.text == f"{TALK.text}\n"


async def test_jobs_that_come_to_nothing(client: httpx.AsyncClient, pool: Pool, storage: Storage, sample: bytes) -> None:
    """Failed and cancelled jobs have failed and say why; one at work says at what; one that is not there is not found."""
    job_id = await submitted(client, sample)
    async with pool.acquire() as connection:
        job = await claimed(connection)
        await store.renew(connection, job, lease=job.retention, stage="transcribe", progress=10)
        assert (await read(client, job_id))["progress"] == "Transcribing audio"
        await store.fail(connection, job, Failure("empty_audio", "The recording is empty.", retryable=False))
    failed = await read(client, job_id)
    assert (failed["status"], failed["error"], failed["result_note"]) == ("failed", "The recording is empty.", NOTE)
    assert "end_time" in failed

    job_id = await submitted(client, sample)
    await client.post(f"/api/v1/jobs/{job_id}/cancel")
    assert (await read(client, job_id))["error"] == "The job was cancelled."

    for unknown in ("abc123-def456", "00000000-0000-7000-8000-000000000000"):
        answer = await client.get(f"{JOBS}/{unknown}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "job_not_found")
    for field in ({"stored_output": "perhaps"}, {"stored_output": "true", "stream": "true"}):
        refused = await client.post(HEAR, files={"file": ("audio.mp3", sample)}, data=field)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "stored_output")


async def test_results_that_are_not_kept(service: Services, pool: Pool, storage: Storage, sample: bytes) -> None:
    """With JOB_RESULT_RETENTION_SECONDS=0 the job's data remain to be read, the result does not; who waits for it gets it all the same."""
    ingest = await service("ingest", JOB_RESULT_RETENTION_SECONDS="0", JOB_RESULTS_DIR="/tmp/whisper-job-results")  # noqa: S108
    async with httpx.AsyncClient(base_url=ingest.url, timeout=90) as client:
        job_id = await submitted(client, sample)
        async with transcribing(pool, storage):
            done = await until(client, job_id, "completed")
            assert (done["result_available"], done["result_note"], done["result_expires_at"]) == (False, NOTE, None)
            answer = await client.post(HEAR, files={"file": ("audio.mp3", sample)}, data={"stored_output": "false"})
        assert answer.json()["text"] == TALK.text
