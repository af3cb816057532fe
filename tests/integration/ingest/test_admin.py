"""What an operator does over HTTP: cleaning up, looking at the storage, resuming, keys and limits."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest

from common import space
from common.database import Pool
from common.jobs import store as jobs
from common.jobs.job import Failure
from common.space import Space, Usage
from common.storage import Storage
from common.storage_keys import source_key
from services.ingest.auth import create_key
from services.ingest.problems import ProblemDocument
from tests.integration.ingest.conftest import until_ready
from tests.integration.ingest.test_jobs import submit
from tests.jobs import BROKEN, claimed, finished_with_bytes, queued, reread
from tests.running import RunningService, Services, wait_until

ADMIN = "/api/v1/admin"
JOBS = "/api/v1/jobs"
PAST = timedelta(seconds=-1)


@pytest.fixture
async def guarded(service: Services) -> RunningService:
    """Ingest, asking for keys."""
    return await service("ingest", AUTH="on")


@pytest.fixture
async def admin(guarded: RunningService, database: asyncpg.Connection) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who may do everything."""
    key = await create_key(database, tenant="operators", name="", scopes=("read", "write", "admin"))
    async with httpx.AsyncClient(base_url=guarded.url, timeout=60, headers={"Authorization": f"Bearer {key}"}) as client:
        yield client


def refused(answer: httpx.Response, status: int, code: str, field: str | None = None) -> None:
    assert (answer.status_code, answer.json()["code"], answer.json().get("field")) == (status, code, field)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_cleanup_is_carried_out_and_reported(client: httpx.AsyncClient, service: Services, pool: Pool, storage: Storage) -> None:
    """A dry run counts and keeps; the real one deletes; both answer with a report for each duty; what is unknown is refused by name."""
    async with pool.acquire() as connection:
        waiting = await client.post(f"{ADMIN}/cleanup", params={"wait": 0}, json={"duties": ["orphans"], "dry_run": True})
        assert (waiting.status_code, waiting.json()["status"], waiting.json()["reports"]) == (202, "waiting", [])
        assert int(waiting.headers["retry-after"]) > 0

        janitor = await service("janitor", CLEANUP_INTERVAL_MINUTES="600")
        found = {}

        async def carried_out() -> bool:
            found.update((await client.get(waiting.headers["location"])).json())
            return bool(found["status"] == "finished")

        await wait_until(carried_out, "the request that was made before there was a janitor")
        assert [report["duty"] for report in found["reports"]] == ["orphans"]
        await wait_until(lambda: '"duty": "expire", "dry_run": false' in janitor.log, "the end of the janitor's own first sweep", 120)

        job = await finished_with_bytes(connection, storage, retention=PAST)
        dry = await cleanup(client, {"dry_run": True})
        assert {report["duty"] for report in dry["reports"]} >= {"expire", "uploads", "orphans", "dead_letters", "measure"}
        assert [report["swept"] for report in dry["reports"] if report["duty"] == "expire"] == [1]
        assert (await reread(connection, job)).status == "completed"
        real = await cleanup(client, {})
        assert (real["status"], real["dry_run"]) == ("finished", False)
        assert (await reread(connection, job)).status == "expired"
    refused(await client.post(f"{ADMIN}/cleanup", json={"duties": ["everything"]}), 422, "invalid_option", "duties")
    refused(await client.post(f"{ADMIN}/cleanup", json={"all": True}), 422, "invalid_option", "all")
    refused(await client.post(f"{ADMIN}/cleanup", content=b"{"), 400, "malformed_json")
    refused(await client.get(f"{ADMIN}/cleanup/{job.id}"), 404, "cleanup_not_found")


async def cleanup(client: httpx.AsyncClient, asked: dict[str, Any]) -> dict[str, Any]:
    """One that is asked for and carried out; a janitor that gets no processor time may take longer than a call waits."""
    answer = await client.post(f"{ADMIN}/cleanup", params={"wait": 60}, json=asked)
    found: dict[str, Any] = answer.json()
    assert answer.status_code == (200 if found["status"] == "finished" else 202)

    async def carried_out() -> bool:
        found.update((await client.get(f"{ADMIN}/cleanup/{found['id']}")).json())
        return bool(found["status"] == "finished")

    await wait_until(carried_out, "the cleanup")
    return found


async def test_storage_and_a_store_that_is_nearly_full(
    client: httpx.AsyncClient, sample: bytes, pool: Pool, database: asyncpg.Connection
) -> None:
    """What was measured is shown; at the critical level recordings are refused and all else goes on; a warning refuses nothing."""
    before = (await client.get(f"{ADMIN}/storage")).json()
    assert (before["measured_at"], before["level"], before["total"]) == (None, "ok", {"objects": 0, "bytes": 0})
    job = await submit(client, sample)
    now = await database.fetchval("select now()")
    usage = [Usage(kind="audio", age="day", objects=2, bytes=90), Usage(kind="results", age="week", objects=1, bytes=6)]

    async def measured(level: space.Level) -> None:
        async with pool.acquire() as connection:
            await space.write(connection, Space(measured_at=now, objects=3, bytes=96, capacity=100, level=level), usage)

    await measured("critical")
    shown = (await client.get(f"{ADMIN}/storage")).json()
    assert (shown["level"], shown["capacity_bytes"], shown["free_bytes"], shown["total"]) == (
        "critical",
        100,
        4,
        {"objects": 3, "bytes": 96},
    )
    assert (shown["by_kind"]["audio"], shown["by_age"]["week"]) == ({"objects": 2, "bytes": 90}, {"objects": 1, "bytes": 6})
    full = await client.post(JOBS, files={"file": ("talk.wav", sample)})
    refused(full, 503, "storage_full")
    assert int(full.headers["retry-after"]) > 0
    assert (await client.get(f"{JOBS}/{job['id']}/audio")).status_code == 302
    assert (await until_ready(client))["storage_space"] == "critical"
    await measured("warning")
    assert (await client.post(JOBS, files={"file": ("talk.wav", sample)})).status_code == 202


async def test_resume(client: httpx.AsyncClient, pool: Pool, storage: Storage) -> None:
    """What may succeed is queued again, of all tenants; what never will, or has no recording, stays; a lost worker's job is taken back."""
    async with pool.acquire() as connection:
        for name in ("a", "a", "b", "c"):
            await queued(connection, tenant=name)
        await jobs.fail(connection, await claimed(connection), Failure("no_audio_stream", "No sound.", retryable=False))
        failed = [await claimed(connection) for _ in range(2)]
        for job in failed:
            await jobs.fail(connection, job, BROKEN)
        await claimed(connection, lease=PAST)
        await storage.put(source_key(failed[0].id), b"RIFF", content_type="audio/wav")

        one = (await client.post(f"{ADMIN}/resume", params={"limit": 1})).json()
        assert one == {"requeued": 1, "rescued": 1, "audio_gone": 0, "more": True}
        rest = (await client.post(f"{ADMIN}/resume")).json()
        assert rest == {"requeued": 0, "rescued": 0, "audio_gone": 1, "more": False}
        again = await reread(connection, failed[0])
        assert (again.status, again.attempt, again.error) == ("queued", 0, None)


async def test_keys(admin: httpx.AsyncClient, guarded: RunningService, database: asyncpg.Connection) -> None:
    """A key is shown once, works as far as its scopes go, ends when it is revoked or its time is up, and is listed without its secret."""
    made = await admin.post(f"{ADMIN}/keys", json={"tenant": "editors", "name": "web", "scopes": ["read"], "expires_in": 3600})
    assert made.status_code == 201
    secret = made.json().pop("key")
    assert (await admin.get(made.headers["location"])).json() == {name: made.json()[name] for name in made.json() if name != "key"}
    listed = await admin.get(f"{ADMIN}/keys", params={"tenant": "editors"})
    assert [key["name"] for key in listed.json()["keys"]] == ["web"]
    assert secret not in listed.text
    first = (await admin.get(f"{ADMIN}/keys", params={"limit": 1})).json()
    last = (await admin.get(f"{ADMIN}/keys", params={"limit": 1, "cursor": first["next_cursor"]})).json()
    assert ([key["name"] for key in first["keys"]], len(last["keys"]), last["next_cursor"]) == (["web"], 1, None)
    refused(await admin.get(f"{ADMIN}/keys", params={"cursor": "x"}), 422, "invalid_option", "cursor")
    async with httpx.AsyncClient(base_url=guarded.url, headers={"Authorization": f"Bearer {secret}"}, timeout=90) as editor:
        assert (await editor.get(JOBS)).status_code == 200
        for method, path in {
            "GET": "storage",
            "POST": "cleanup",
            "PUT": "tenants/a/limits",
            "DELETE": f"keys/{made.json()['id']}",
        }.items():
            refused(await editor.request(method, f"{ADMIN}/{path}"), 403, "forbidden")
        refused(await editor.post(f"{ADMIN}/resume"), 403, "forbidden")
        await database.execute("update api_keys set expires_at = now() where id = $1", UUID(made.json()["id"]))
        refused(await editor.get(JOBS), 401, "unauthorized")
        await database.execute("update api_keys set expires_at = null where id = $1", UUID(made.json()["id"]))
        assert (await editor.get(JOBS)).status_code == 200
        for _ in range(2):
            assert (await admin.delete(made.headers["location"])).status_code == 204
        refused(await editor.get(JOBS), 401, "unauthorized")
    assert (await admin.get(made.headers["location"])).json()["live"] is False
    wrong: dict[str, dict[str, Any]] = {
        "scopes": {"scopes": ["all"]},
        "tenant": {"tenant": "a b"},
        "expires_in": {"expires_in": 1},
        "x": {"x": 1},
    }
    for field, body in wrong.items():
        refused(await admin.post(f"{ADMIN}/keys", json=body), 422, "invalid_option", field)
    refused(await admin.post(f"{ADMIN}/keys", content=b"nothing"), 400, "malformed_json")
    refused(await admin.delete(f"{ADMIN}/keys/{UUID(int=7)}"), 404, "key_not_found")


async def test_hours_of_audio(service: Services, sample: bytes, database: asyncpg.Connection) -> None:
    """Submissions are refused once a tenant's hours are used up, over two processes, until the window ends; deleting gives nothing back."""
    ingests = [await service("ingest", AUTH="on", AUDIO_HOURS_PER_DAY="0.02") for _ in range(2)]  # 72 s: three of 30 s reach it
    mine, other = [await create_key(database, tenant=name, name="", scopes=("read", "write", "admin")) for name in ("a", "b")]
    clients = [httpx.AsyncClient(base_url=ingest.url, timeout=90, headers={"Authorization": f"Bearer {mine}"}) for ingest in ingests]
    answers = await asyncio.gather(*(clients[n % 2].post(JOBS, files={"file": ("talk.wav", sample)}) for n in range(6)))
    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [429] * 3
    [over, *_] = [answer for answer in answers if answer.status_code == 429]
    refused(over, 429, "quota_exceeded")
    assert (msgspec.convert(over.json(), ProblemDocument).limit, 0 < int(over.headers["retry-after"]) <= 86_400) == (0.02, True)
    assert (await clients[0].delete(JOBS, params={"status": "queued"})).json()["deleted"] == 3
    assert (await clients[0].post(JOBS, files={"file": ("talk.wav", sample)})).status_code == 429
    theirs = {"Authorization": f"Bearer {other}"}
    assert (await clients[0].post(JOBS, files={"file": ("talk.wav", sample)}, headers=theirs)).status_code == 202

    own = await clients[0].put(f"{ADMIN}/tenants/a/limits", json={"audio_hours_per_day": 1, "audio_hours_per_month": 0.02})
    assert own.json() == {
        "tenant": "a",
        "own": True,
        "audio_hours_per_day": 1.0,
        "audio_hours_per_month": 0.02,
        "audio_hours_today": 0.025,
        "audio_hours_this_month": 0.025,
    }
    assert "month" in (await clients[1].post(JOBS, files={"file": ("talk.wav", sample)})).json()["detail"]
    await clients[0].put(f"{ADMIN}/tenants/a/limits", json={"audio_hours_per_day": 1})
    assert (await clients[1].post(JOBS, files={"file": ("talk.wav", sample)})).status_code == 202
    refused(
        await clients[0].put(f"{ADMIN}/tenants/a/limits", json={"audio_hours_per_day": -1}), 422, "invalid_option", "audio_hours_per_day"
    )
    assert (await clients[0].get(f"{ADMIN}/tenants/nobody/limits")).json()["own"] is False
    for client in clients:
        await client.aclose()


async def test_hours_follow_the_true_duration(pool: Pool) -> None:
    """An estimate that turns out wrong is put right in what the tenant has used."""
    async with pool.acquire() as connection:
        job = await queued(connection)
        await connection.execute("update jobs set duration = 90, duration_known = true where id = $1", job.id)
        assert await connection.fetchval("select seconds from audio_usage where tenant = $1", job.tenant) == pytest.approx(90)
