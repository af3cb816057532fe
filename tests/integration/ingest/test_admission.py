"""Back-pressure: who comes too often, or to a full queue, is told so and when to come again."""

import asyncio

import asyncpg
import httpx

from common.storage import Storage
from services.ingest.admission import SQL
from services.ingest.auth import create_key
from tests.integration.ingest.conftest import left_behind
from tests.running import Services

JOBS = "/api/v1/jobs"


async def post(client: httpx.AsyncClient, sample: bytes, **headers: str) -> httpx.Response:
    return await client.post(
        JOBS, files={"file": ("talk.wav", sample)}, headers={name.replace("_", "-"): headers[name] for name in headers}
    )


async def test_the_queue_is_full(service: Services, sample: bytes, store: Storage, database: asyncpg.Connection) -> None:
    """A submission to a full queue is refused before its body is read; a copy of an accepted one is not; room is used again."""
    ingest = await service("ingest", MAX_QUEUED_JOBS="2")
    async with httpx.AsyncClient(base_url=ingest.url, timeout=90) as client:
        first = await post(client, sample, Idempotency_Key="k")
        assert (await post(client, sample)).status_code == 202
        full = await post(client, b"not even a recording")
        assert (full.status_code, full.json()["code"], full.json()["limit"]) == (429, "queue_full", 2)
        assert int(full.headers["retry-after"]) > 0
        assert (await post(client, sample, Idempotency_Key="k")).content == first.content
        await client.post(f"{JOBS}/{first.json()['id']}/cancel")
        assert (await post(client, sample)).status_code == 202
    left = await left_behind(store, database)
    assert (left.jobs, left.objects) == (3, 3)


async def test_a_tenant_has_its_share(service: Services, sample: bytes, store: Storage, database: asyncpg.Connection) -> None:
    """However many arrive at once, a tenant gets exactly its quota, through two processes too; another tenant is not concerned."""
    ingests = [await service("ingest", AUTH="on", MAX_QUEUED_JOBS_PER_TENANT="3") for _ in range(2)]
    mine, other = [await create_key(database, tenant=tenant, name="", scopes=("write",)) for tenant in ("a", "b")]
    clients = [httpx.AsyncClient(base_url=ingest.url, timeout=90) for ingest in ingests]
    answers = await asyncio.gather(*(post(clients[n % 2], sample, Authorization=f"Bearer {mine}") for n in range(10)))
    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [429] * 7
    assert {answer.json()["code"] for answer in answers if answer.status_code == 429} == {"quota_exceeded"}
    assert (await post(clients[0], sample, Authorization=f"Bearer {other}")).status_code == 202
    for client in clients:
        await client.aclose()
    left = await left_behind(store, database)
    assert (left.jobs, left.objects) == (4, 4)


async def test_trying_again_takes_a_place_too(service: Services, sample: bytes) -> None:
    """Who cancels and submits cannot have more in the queue than its share by retrying; what is queued already stays so."""
    ingest = await service("ingest", MAX_QUEUED_JOBS_PER_TENANT="1")
    async with httpx.AsyncClient(base_url=ingest.url, timeout=90) as client:
        first = f"{JOBS}/{(await post(client, sample)).json()['id']}"
        await client.post(f"{first}/cancel")
        second = f"{JOBS}/{(await post(client, sample)).json()['id']}"
        refused = await client.post(f"{first}/retry")
        assert (refused.status_code, refused.json()["code"], "retry-after" in refused.headers) == (429, "quota_exceeded", True)
        assert (await client.post(f"{second}/retry")).status_code == 202
        await client.post(f"{second}/cancel")
        assert (await client.post(f"{first}/retry")).json()["status"] == "queued"


async def test_a_key_comes_too_often(service: Services, database: asyncpg.Connection) -> None:
    """Two processes share a key's bucket; it is refilled by the database's clock; another key has its own."""
    ingests = [await service("ingest", AUTH="on", RATE_LIMIT_PER_MINUTE="2") for _ in range(2)]
    keys = [await create_key(database, tenant="a", name="", scopes=("read",)) for _ in range(2)]
    clients = [httpx.AsyncClient(base_url=ingest.url, timeout=90) for ingest in ingests]

    async def ask(number: int, key: str) -> httpx.Response:
        return await clients[number % 2].get(JOBS, headers={"Authorization": f"Bearer {key}"})

    answers = await asyncio.gather(*(ask(number, keys[0]) for number in range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] * 2 + [429] * 10
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert (refused.json()["code"], refused.json()["limit"]) == ("rate_limited", 2)
    assert 0 < int(refused.headers["retry-after"]) <= 30
    assert (await ask(0, keys[1])).status_code == 200
    await database.execute("update rate_limits set full_at = full_at - interval '30 seconds'")
    assert [(await ask(number, keys[0])).status_code for number in range(2)] == [200, 429]
    assert (await clients[0].get("/health/live")).status_code == 200
    for client in clients:
        await client.aclose()


async def test_limits_are_cheap(database: asyncpg.Connection) -> None:
    """With 50,000 jobs what admission asks scans no table that grows."""
    await database.execute(
        "insert into jobs (id, tenant, status, priority, options, source, retention, max_attempts, error)"
        " select gen_random_uuid(), 'tenant ' || n % 50, (case when n % 20 = 0 then 'queued' else 'failed' end)::job_status, 1,"
        " '{}', '{}', '1 hour', 3, '{}' from generate_series(1, 50000) n"
    )
    await database.execute(
        "insert into audio_usage select 'guest ' || n % 50, date '2020-01-01' + n, 60, 1 from generate_series(1, 10000) n"
    )
    await database.execute("analyze jobs, audio_usage")
    rows = await database.fetch(f"explain {SQL['load']}", "tenant 1", 1_000, 100, 3_600.0, None)
    plan = "\n".join(row[0] for row in rows)
    assert "Seq Scan on jobs" not in plan
    assert "Seq Scan on audio_usage" not in plan
    assert "jobs_queued_by_tenant" in plan
