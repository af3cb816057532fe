"""References through the real API: what a job keeps of them, what it shows, and where it matters."""

from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec

from common.database import Pool
from common.ids import JobId
from common.references import store as references
from common.references.lines import Line
from common.storage import Storage
from tests.integration.ingest.conftest import NOTHING, left_behind
from tests.integration.ingest.test_jobs import JOBS, submit
from tests.integration.ingest.test_reuse import transcribed

LONG = "\n".join(f"Line {number}: {'بِسْمِ اللَّهِ ' * 4}" for number in range(2_500))


async def kept(pool: Pool, job: dict[str, Any]) -> tuple[Line, ...]:
    """The job's lines, as a transcriber reads them."""
    async with pool.acquire() as connection:
        return await references.of_job(connection, JobId(UUID(job["id"])))


async def test_a_job_keeps_its_reference(client: httpx.AsyncClient, sample: bytes, pool: Pool) -> None:
    """From a form or as JSON; its documents tell only how many lines there are and which; the lines go with the job."""
    job = await submit(client, sample, reference="Hello?\n\nOh, hello.\n", topics="true")
    lines = (Line(1, "Hello?"), Line(2, "Oh, hello."))
    assert await kept(pool, job) == lines
    assert job["options"]["topics"] is True
    assert job["options"]["reference"]["lines"] == 2
    assert len(job["options"]["reference"]["sha256"]) == 64
    assert (await client.get(f"{JOBS}/{job['id']}")).json()["options"] == job["options"]
    upload = (await client.post("/files", content=sample, headers=_tus(sample))).json()
    body = {"source": {"upload_id": upload["id"]}, "reference": LONG}
    other = (await client.post(JOBS, content=msgspec.json.encode(body), headers={"Content-Type": "application/json"})).json()
    assert len(await kept(pool, other)) == 2_500
    assert (await client.delete(f"{JOBS}/{job['id']}")).status_code == 204
    assert await kept(pool, job) == ()


async def test_what_is_refused(client: httpx.AsyncClient, sample: bytes, store: Storage, database: asyncpg.Connection) -> None:
    """Before the recording is kept, by name."""
    cases = [
        ("x" * 2_001, "invalid_option"),
        ("x\n" * 3_001, "invalid_option"),
        ('[{"number": 1}]', "invalid_option"),
        ("é" * 600_000, "field_too_large"),
    ]
    for reference, code in cases:
        answer = await client.post(JOBS, files={"file": ("talk.wav", sample)}, data={"reference": reference})
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, code, "reference")
    assert await left_behind(store, database) == NOTHING


async def test_another_reference_is_another_result(client: httpx.AsyncClient, sample: bytes, pool: Pool, store: Storage) -> None:
    """A transcript is reused only where the same lines were looked for, and an idempotency key stands for the same lines."""
    await submit(client, sample, reuse="true", reference="Hello?")
    await transcribed(pool, store)
    assert [
        (await submit(client, sample, reuse="true", reference=reference))["cache"] for reference in ("Hello?", " Hello? ", "Hello!")
    ] == ["hit", "hit", "miss"]
    key = {"Idempotency-Key": "once"}
    answers = [
        await client.post(JOBS, files={"file": ("talk.wav", sample)}, data={"reference": reference}, headers=key)
        for reference in ("Hello?", "Hello?", "Hello!")
    ]
    assert [answer.status_code for answer in answers] == [202, 202, 422]
    assert answers[0].json()["id"] == answers[1].json()["id"]


def _tus(recording: bytes) -> dict[str, str]:
    return {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(recording)), "Content-Type": "application/offset+octet-stream"}
