"""`reuse`: a repeated recording with the same options takes the result that is there, as a copy of its own."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from common.broker import Broker
from common.database import Pool
from common.ids import JobId
from common.jobs import objects
from common.jobs.job import Job
from common.jobs.kind import Kind
from common.storage import Storage
from common.storage_keys import job_prefixes, transcript_key
from common.transcript import Language, Transcript, encode
from services.ingest.auth import create_key
from tests.jobs import claimed, finished
from tests.running import Services
from tests.tap import tap

JOBS = "/api/v1/jobs"
TRANSCRIPT = encode(Transcript("Hello?", Language("en", 1.0), 30.0, (), (), {"asr": "base"}, {}))


async def submit(client: httpx.AsyncClient, sample: bytes, **options: str) -> dict[str, Any]:
    answer = await client.post(JOBS, files={"file": ("talk.wav", sample)}, data={"reuse": "true", **options})
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


async def transcribed(pool: Pool, store: Storage, kind: Kind | None = None) -> Job:
    """The job that is next, completed as a worker would."""
    async with pool.acquire() as connection:
        job = await claimed(connection)
        assert job.lease_token is not None
        await store.put(transcript_key(job.id, job.lease_token), TRANSCRIPT, content_type="application/json")
        return await finished(connection, job, kind)


async def test_a_copy_of_its_own(client: httpx.AsyncClient, sample: bytes, pool: Pool, store: Storage, broker: Broker) -> None:
    """The second job is completed when it is answered, told like any other, and outlives the first."""
    async with tap(broker, "#") as heard:
        first = await submit(client, sample, language="en", metadata='{"call": "1"}')
        assert (first["status"], first["cache"]) == ("queued", "miss")
        await transcribed(pool, store, kind="video")
        second = await submit(client, sample, language="en", priority="high", metadata='{"call": "2"}')
        events = await heard.until(5)
    assert (second["status"], second["cache"], second["progress"], second["attempt"]) == ("completed", "hit", 100.0, 0)
    assert (second["source"]["duration"], second["source"]["kind"], second["result"]["language"]) == (1.0, "video", "en")
    assert second["result"]["keys"]["transcript"].startswith(f"results/{second['id']}.")
    told = [(event.headers["ce-type"], event.headers["ce-subject"] == second["id"]) for event in events]
    assert sorted(told) == sorted(
        [("job.created", False), ("job.started", False), ("job.completed", False), ("job.created", True), ("job.completed", True)]
    )
    assert (await client.delete(f"{JOBS}/{first['id']}")).status_code == 204
    left = {found.key async for found in store.objects()}
    assert left == {f"audio/{second['id']}.source", second["result"]["keys"]["transcript"]}
    text = await client.get(f"{JOBS}/{second['id']}/transcript")
    assert (text.status_code, text.json()["text"]) == (200, "Hello?")
    async with pool.acquire() as connection:
        [owner] = (await objects.owners(connection, [JobId(UUID(second["id"]))])).values()
    assert len(owner.leases) == 1  # so that the copy is no orphan


@pytest.mark.parametrize(
    "options",
    [{"language": "de"}, {"beam_size": "1"}, {"hotwords": "Diane"}, {"diarize": "true"}],
    ids=["language", "beam", "hotwords", "diarize"],
)
async def test_other_options_are_another_result(
    client: httpx.AsyncClient, sample: bytes, pool: Pool, store: Storage, options: dict[str, str]
) -> None:
    """Whatever makes a difference to the transcript is a miss; who does not ask for it gets a job of its own anyway."""
    await submit(client, sample)
    await transcribed(pool, store)
    other = await submit(client, sample, **options)
    assert (other["status"], other["cache"]) == ("queued", "miss")
    plain = await submit(client, sample, reuse="false")
    assert (plain["status"], plain["cache"]) == ("queued", None)


async def test_what_is_gone_cannot_be_reused(client: httpx.AsyncClient, sample: bytes, pool: Pool, store: Storage) -> None:
    """Neither what has expired nor what goes between the look and the copy; and no half of a copy is the job's."""
    await submit(client, sample)
    job = await transcribed(pool, store)
    await store.delete_prefixes(job_prefixes(job.id))
    raced = await submit(client, sample)
    assert (raced["status"], raced["cache"], raced["result"]) == ("queued", "miss", None)
    await transcribed(pool, store)
    await pool.execute("update jobs set expires_at = now()")
    assert (await submit(client, sample))["cache"] == "miss"


async def test_a_lexicon_that_was_changed(client: httpx.AsyncClient, sample: bytes, pool: Pool, store: Storage) -> None:
    """The same lexicon with other corrections makes another transcript."""
    lexicon = {"name": "names", "corrections": [], "hotwords": ["Diane"]}
    made = (await client.post("/api/v1/lexicons", json=lexicon)).json()
    await submit(client, sample, lexicon_id=made["id"])
    await transcribed(pool, store)
    assert (await submit(client, sample, lexicon_id=made["id"]))["cache"] == "hit"
    await client.put(f"/api/v1/lexicons/{made['id']}", json=lexicon | {"hotwords": ["Sheila"]})
    assert (await submit(client, sample, lexicon_id=made["id"]))["cache"] == "miss"


async def test_within_a_tenant(service: Services, sample: bytes, pool: Pool, store: Storage) -> None:
    """Another tenant's result is none, and an uploaded recording is as good as one that comes along."""
    async with pool.acquire() as connection:
        keys = [await create_key(connection, tenant=tenant, name="", scopes=("read", "write")) for tenant in "ab"]
    guarded = await service("ingest", AUTH="on")
    mine, other = ({"Authorization": f"Bearer {key}"} for key in keys)
    async with httpx.AsyncClient(base_url=guarded.url, timeout=90) as client:
        client.headers.update(mine)
        await submit(client, sample)
        await transcribed(pool, store)
        client.headers.update(other)
        assert (await submit(client, sample))["cache"] == "miss"
        client.headers.update(mine)
        tus = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(sample)), "Content-Type": "application/offset+octet-stream"}
        file = (await client.post("/files", content=sample, headers=tus)).json()
        again = (await client.post(JOBS, json={"source": {"upload_id": file["id"]}, "reuse": True})).json()
        assert (again["id"], again["status"], again["cache"]) == (file["id"], "completed", "hit")
