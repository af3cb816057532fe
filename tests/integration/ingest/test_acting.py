"""Cancelling, retrying and deleting jobs through the real API."""

from datetime import timedelta
from uuid import UUID

import asyncpg
import httpx

from common import ids
from common.database import connect
from common.ids import JobId, LeaseToken
from common.jobs import removal
from common.jobs import store as jobs
from common.jobs.job import Failure, Status
from common.storage import Storage
from services.ingest.auth import create_key
from tests.integration.ingest.conftest import left_behind
from tests.integration.ingest.test_jobs import JOBS, finish, submit
from tests.running import Services


async def test_cancel(client: httpx.AsyncClient, sample: bytes, database_url: str) -> None:
    """A queued job is cancelled at once, once more changes nothing, and no worker gets it any more."""
    job = await submit(client, sample)
    for _ in range(2):
        answer = await client.post(f"{JOBS}/{job['id']}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    async with connect(database_url, name="test") as pool, pool.acquire() as connection:
        assert await jobs.claim(connection, LeaseToken(ids.new()), lease=timedelta(seconds=15), worker="test") is None
    assert (await client.get(f"{JOBS}/{job['id']}/transcript")).json()["code"] == "job_cancelled"


async def test_cancel_takes_the_lease_away(client: httpx.AsyncClient, sample: bytes, database_url: str) -> None:
    """A worker whose job was cancelled can neither renew nor finish nor fail it."""
    job = await submit(client, sample)
    async with connect(database_url, name="test") as pool, pool.acquire() as connection:
        claimed = await jobs.claim(connection, LeaseToken(ids.new()), lease=timedelta(seconds=15), worker="test")
        assert claimed is not None
        await client.post(f"{JOBS}/{job['id']}/cancel")
        assert await jobs.renew(connection, claimed, lease=timedelta(seconds=15), stage="vad", progress=5) is None
        assert await jobs.fail(connection, claimed, Failure("x", "y", retryable=False)) is None


async def test_retry(client: httpx.AsyncClient, sample: bytes, database_url: str, store: Storage, database: asyncpg.Connection) -> None:
    """A failed job is queued again with its options and all its attempts; not once its time is over, nor without its recording."""
    job = await submit(client, sample, language="en")
    url = f"{JOBS}/{job['id']}/retry"
    async with connect(database_url, name="test") as pool, pool.acquire() as connection:
        claimed = await jobs.claim(connection, LeaseToken(ids.new()), lease=timedelta(seconds=15), worker="test")
        assert claimed is not None
        await jobs.fail(connection, claimed, Failure("time_limit", "Too long.", retryable=False))
    for _ in range(2):
        again = await client.post(url)
        assert (again.status_code, again.json()["status"], again.json()["attempt"]) == (202, "queued", 0)
        assert again.json()["options"] == {"language": "en"}
        assert again.json()["error"] is None
    await client.post(f"{JOBS}/{job['id']}/cancel")
    await database.execute("update jobs set expires_at = now()")
    due = await client.post(url)
    assert (due.status_code, due.json()["code"]) == (409, "audio_gone")
    await database.execute("update jobs set expires_at = now() + interval '1 hour'")
    await store.delete([f"audio/{job['id']}.source"])
    gone = await client.post(url)
    assert (gone.status_code, gone.json()["code"]) == (409, "audio_gone")


async def test_no_retry_while_the_recording_is_on_its_way_out(
    client: httpx.AsyncClient, sample: bytes, database_url: str, store: Storage
) -> None:
    """A job that is being deleted is not queued again, though its recording is still there; deleting it once more finishes it."""
    job = await submit(client, sample)
    url = f"{JOBS}/{job['id']}"
    async with connect(database_url, name="test") as pool, pool.acquire() as connection:
        condemned = await removal.condemn(connection, JobId(UUID(job["id"])), "default")
    assert condemned is not None
    assert condemned.status is Status.CANCELLED
    refused = await client.post(f"{url}/retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "audio_gone")
    assert await store.exists(condemned.source_key)
    assert (await client.delete(url)).status_code == 204
    assert (await client.get(url)).status_code == 404


async def test_what_a_finished_job_forbids(client: httpx.AsyncClient, sample: bytes, database_url: str, store: Storage) -> None:
    """Cancelling or retrying a completed job is a 409 that names the statuses in which it is allowed."""
    job = await submit(client, sample)
    await finish(database_url, store, job["id"])
    for action, allowed in {"cancel": ["uploading", "queued", "processing"], "retry": ["failed", "cancelled"]}.items():
        answer = await client.post(f"{JOBS}/{job['id']}/{action}")
        assert (answer.status_code, answer.json()["code"], answer.json()["allowed"]) == (409, "wrong_status", allowed)


async def test_delete(client: httpx.AsyncClient, sample: bytes, database_url: str, store: Storage, database: asyncpg.Connection) -> None:
    """Deleting takes recording, results, checkpoints and row away, whether the job was queued or completed."""
    done, queued = await submit(client, sample), await submit(client, sample)
    await finish(database_url, store, done["id"])
    for job in (done, queued):
        await store.put(f"checkpoints/{job['id']}.align.json", b"{}", content_type="application/json")
        assert (await client.delete(f"{JOBS}/{job['id']}")).status_code == 204
        assert (await client.get(f"{JOBS}/{job['id']}")).status_code == 404
        assert (await client.delete(f"{JOBS}/{job['id']}")).json()["code"] == "job_not_found"
        receipt = (await client.get(f"{JOBS}/{job['id']}/receipt")).json()
        assert (receipt["reason"], receipt["objects"][0]["sha256"]) == ("deleted", job["source"]["sha256"])
    left = await left_behind(store, database)
    assert (left.jobs, left.objects) == (0, 0)


async def test_clear(client: httpx.AsyncClient, sample: bytes, database_url: str, store: Storage, database: asyncpg.Connection) -> None:
    """Jobs of the statuses named go, with their objects; others stay; those that are not over are cancelled first; all of it is counted."""
    done, queued, marked = await submit(client, sample), await submit(client, sample), await submit(client, sample, metadata='{"k": "v"}')
    await finish(database_url, store, done["id"])
    nothing = {"deleted": 0, "cancelled": 0, "objects": 0, "failed": 0, "more": False}
    assert (await client.delete(JOBS, params={"status": "failed,cancelled"})).json() == nothing
    assert (await client.delete(JOBS, params={"status": "queued", "created_after": "2999-01-01T00:00:00Z"})).json() == nothing
    answer = await client.delete(JOBS, params={"status": "completed"})
    assert (answer.status_code, answer.json()) == (200, nothing | {"deleted": 1, "objects": 2})
    answer = await client.delete(JOBS, params={"status": "queued", "metadata.k": "v"})
    assert answer.json() == nothing | {"deleted": 1, "cancelled": 1, "objects": 1}
    assert [job["id"] for job in (await client.get(JOBS)).json()["jobs"]] == [queued["id"]]
    assert (await client.get(f"{JOBS}/{marked['id']}")).status_code == 404
    left = await left_behind(store, database)
    assert (left.jobs, left.objects) == (1, 1)


async def test_clear_so_many_a_call(client: httpx.AsyncClient, sample: bytes) -> None:
    """A call takes no more than its limit, and says whether others match."""
    for _ in range(3):
        await submit(client, sample)
    answers = [(await client.delete(JOBS, params={"status": "queued,completed", "limit": "2"})).json() for _ in range(3)]
    assert [(answer["deleted"], answer["more"]) for answer in answers] == [(2, True), (1, False), (0, False)]


async def test_clear_says_what_it_needs(client: httpx.AsyncClient) -> None:
    """Without a status, with one that there is not, or with a parameter that it does not know, nothing goes."""
    asked: dict[str, dict[str, str]] = {
        "status": {},
        "limit": {"status": "failed", "limit": "0"},
        "cursor": {"status": "failed", "cursor": "x"},
    }
    for field, params in asked.items():
        answer = await client.delete(JOBS, params=params)
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_option", field)
    assert "gone" in (await client.delete(JOBS, params={"status": "gone"})).json()["detail"]


async def test_clear_keeps_to_the_tenant(service: Services, sample: bytes, database: asyncpg.Connection) -> None:
    """Another tenant's jobs are not touched, and a key that may only read clears nothing."""
    ingest = await service("ingest", AUTH="on")
    mine, other = [await create_key(database, tenant=tenant, name="", scopes=("read", "write")) for tenant in ("a", "b")]
    reader = await create_key(database, tenant="a", name="", scopes=("read",))
    async with httpx.AsyncClient(base_url=ingest.url, timeout=90) as client:
        headers = {"Authorization": f"Bearer {mine}"}
        await client.post(JOBS, files={"file": ("talk.wav", sample)}, headers=headers)
        for key, deleted in ((other, 0), (mine, 1)):
            answer = await client.delete(JOBS, params={"status": "queued"}, headers={"Authorization": f"Bearer {key}"})
            assert answer.json()["deleted"] == deleted
        refused = await client.delete(JOBS, params={"status": "queued"}, headers={"Authorization": f"Bearer {reader}"})
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
