"""`Idempotency-Key`: one job for however many copies of a request, whatever dies or races in between."""

import asyncio
from typing import Any

import asyncpg
import httpx

from common.database import connect
from common.jobs import removal
from common.storage import Storage
from tests.integration.ingest.conftest import left_behind
from tests.running import RunningService, Services, wait_until

JOBS = "/api/v1/jobs"
KEY = {"Idempotency-Key": "the-key"}


async def post(client: httpx.AsyncClient, sample: bytes, headers: dict[str, str] | None = None, **fields: str) -> httpx.Response:
    return await client.post(JOBS, files={"file": ("talk.wav", sample)}, data=fields, headers=headers or KEY)


async def counted(store: Storage, database: asyncpg.Connection) -> tuple[int, int, int]:
    """Jobs, objects and open uploads."""
    left = await left_behind(store, database)
    return left.jobs, left.objects, left.uploads


async def begin_upload(ingest: RunningService, head: bytes) -> asyncio.StreamWriter:
    """A submission with the key, of which only the beginning has been sent."""
    _, writer = await asyncio.open_connection(*ingest.url.removeprefix("http://").split(":"))
    writer.write(
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nIdempotency-Key: the-key\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        b'Content-Length: 90000000\r\n\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + head
    )
    await writer.drain()
    return writer


async def until_held(database: asyncpg.Connection) -> None:
    async def held() -> bool:
        return bool(await database.fetchval("select count(*) from idempotency_keys where answer is null"))

    await wait_until(held, "the key to be reserved")


async def test_the_first_answer_again(client: httpx.AsyncClient, sample: bytes, store: Storage, database: asyncpg.Connection) -> None:
    """A copy gets the same bytes and a header that says so, whatever became of the job; there is one job and one object."""
    first = await post(client, sample, language="en", metadata='{"a": "1", "b": "2"}')
    assert (first.status_code, "idempotency-replayed" in first.headers) == (202, False)
    await client.post(f"{JOBS}/{first.json()['id']}/cancel")
    for _ in range(2):
        again = await post(client, sample, metadata='{"b": "2", "a": "1"}', language="en")
        assert (again.status_code, again.headers["idempotency-replayed"]) == (202, "true")
        assert (again.content, again.headers["location"]) == (first.content, first.headers["location"])
        assert again.headers["content-type"] == first.headers["content-type"]
    assert await counted(store, database) == (1, 1, 0)


async def test_after_the_job(
    client: httpx.AsyncClient, sample: bytes, store: Storage, database: asyncpg.Connection, database_url: str
) -> None:
    """The answer tells of the job, so it goes with it; a repeat makes no other job, and is told what reading the job tells."""
    told = "select count(*) from idempotency_keys where strpos(encode(answer, 'escape'), 'talk.wav') > 0"
    expired, deleted, cleared = [(await post(client, sample, {"Idempotency-Key": name})).json()["id"] for name in "abc"]
    await client.post(f"{JOBS}/{expired}/cancel")
    assert await database.fetchval(told) == 3
    assert (await client.delete(f"{JOBS}/{deleted}")).status_code == 204
    assert (await client.delete(JOBS, params={"status": "queued"})).json()["deleted"] == 1
    async with connect(database_url, name="test") as pool, pool.acquire() as connection:
        await connection.execute("update jobs set expires_at = now() - interval '1 second'")
        [job] = await removal.due_to_expire(connection, after=None, limit=2)
        assert await removal.expire(connection, [job])
    assert await database.fetchval(told) == 0

    again = await post(client, sample, {"Idempotency-Key": "a"})
    assert (again.status_code, again.headers["idempotency-replayed"]) == (202, "true")
    assert (again.json()["status"], again.content) == ("expired", (await client.get(f"{JOBS}/{expired}")).content)
    for name, gone in {"b": deleted, "c": cleared}.items():
        again = await post(client, sample, {"Idempotency-Key": name})
        assert (again.status_code, again.json()["code"]) == (404, "job_not_found")
        assert gone in again.json()["detail"]
    assert (await post(client, sample, {"Idempotency-Key": "b"}, language="de")).json()["code"] == "idempotency_key_reused"
    assert (await counted(store, database))[0] == 1


async def test_another_request(client: httpx.AsyncClient, sample: bytes, store: Storage, database: asyncpg.Connection) -> None:
    """The same key with other options or another recording is refused, and leaves nothing."""
    await post(client, sample)
    for refused in (await post(client, sample, language="de"), await post(client, sample + b"\x00\x00")):
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert await counted(store, database) == (1, 1, 0)
    assert (await post(client, sample, {"Idempotency-Key": "another"})).status_code == 202


async def test_while_the_first_is_in_flight(
    ingest: RunningService, client: httpx.AsyncClient, sample: bytes, store: Storage, database: asyncpg.Connection
) -> None:
    """A copy that comes too early is told to wait; when the first goes away unfinished, the key is free at once."""
    writer = await begin_upload(ingest, sample)
    await until_held(database)
    early = await post(client, sample)
    assert (early.status_code, early.json()["code"]) == (409, "idempotency_key_in_use")
    assert int(early.headers["retry-after"]) > 0
    writer.transport.abort()

    async def accepted() -> bool:
        return (await post(client, sample)).status_code == 202

    await wait_until(accepted, "the key to be free")
    assert await counted(store, database) == (1, 1, 0)


async def test_a_refusal_does_not_use_up_the_key(client: httpx.AsyncClient, sample: bytes) -> None:
    """A request that was refused can be put right and sent with its key."""
    assert (await post(client, sample, language="klingon")).status_code == 422
    assert (await post(client, b"not a recording")).status_code == 415
    assert (await post(client, sample)).status_code == 202


async def test_ingest_dies_in_the_middle(service: Services, sample: bytes, database: asyncpg.Connection, store: Storage) -> None:
    """A key whose process was killed is in use until its lease runs out, and then as good as new."""
    first, second = await service("ingest"), await service("ingest")
    writer = await begin_upload(first, sample)
    await until_held(database)
    first.kill()
    writer.close()
    async with httpx.AsyncClient(base_url=second.url, timeout=90) as client:
        assert (await post(client, sample)).status_code == 409
        await database.execute("update idempotency_keys set expires_at = now() - interval '1 second'")
        made = await post(client, sample)
        assert made.status_code == 202
        assert (await post(client, sample)).content == made.content
    assert (await counted(store, database))[:2] == (1, 1)


async def test_a_lease_lost_meanwhile(
    ingest: RunningService, client: httpx.AsyncClient, sample: bytes, database: asyncpg.Connection, store: Storage
) -> None:
    """Who slept past the lease and finds the key taken gives way: no second job, and no object of its own."""
    reader, writer = await asyncio.open_connection(*ingest.url.removeprefix("http://").split(":"))
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + sample + b"\r\n--b--\r\n"
    head = f"POST {JOBS} HTTP/1.1\r\nHost: x\r\nIdempotency-Key: the-key\r\nContent-Length: {len(body)}\r\n"
    writer.write(head.encode() + b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" + body[:-10])
    await until_held(database)

    async def lost() -> bool:
        await database.execute("update idempotency_keys set expires_at = now() - interval '1 second'")
        return (await post(client, sample)).status_code == 202  # unless the lease was renewed in between

    await wait_until(lost, "another request to take the key")
    writer.write(body[-10:])
    assert b" 409 " in await asyncio.wait_for(reader.readline(), 60)
    writer.close()
    assert await counted(store, database) == (1, 1, 0)


async def test_a_race(client: httpx.AsyncClient, sample: bytes, database: asyncpg.Connection, store: Storage) -> None:
    """Of eight copies at once one is carried out; the others wait or get its answer."""
    answers = await asyncio.gather(*(post(client, sample) for _ in range(8)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 202}) == 1
    assert await counted(store, database) == (1, 1, 0)


async def test_keys_belong_to_their_tenant_and_grow_old(service: Services, sample: bytes, database: asyncpg.Connection) -> None:
    """Two tenants may use one key; after its time, which is a setting, a key is free."""
    from services.ingest.auth import create_key  # noqa: PLC0415 - this test alone makes keys

    ingest = await service("ingest", AUTH="on", IDEMPOTENCY_RETENTION_HOURS="36")
    bearers = [await create_key(database, tenant=tenant, name="", scopes=("write",)) for tenant in ("a", "b")]
    async with httpx.AsyncClient(base_url=ingest.url, timeout=90) as client:
        made: list[Any] = []
        for bearer in (*bearers, bearers[0]):
            if len(made) == 2:
                kept = await database.fetchval("select min(expires_at) - now() from idempotency_keys")
                assert 35.9 < kept.total_seconds() / 3600 <= 36
                await database.execute("update idempotency_keys set expires_at = now() - interval '1 second'")
            answer = await post(client, sample, KEY | {"Authorization": f"Bearer {bearer}"})
            assert answer.status_code == 202
            made.append(answer.json()["id"])
    assert len(set(made)) == 3


async def test_what_is_no_key(client: httpx.AsyncClient, sample: bytes) -> None:
    """A key that is empty or longer than 255 characters is refused."""
    for key in ("", "x" * 256):
        answer = await post(client, sample, {"Idempotency-Key": key})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_idempotency_key")
