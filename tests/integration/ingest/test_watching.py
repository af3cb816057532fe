"""Watching jobs through real streams: what arrives, in what order, and when it ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from common import database, ids
from common.database import Pool
from common.jobs import removal, store
from common.jobs.job import Job
from services.ingest.auth import Authentication, create_key
from tests.jobs import HOUR, claimed, finished, queued
from tests.running import RunningService, Services, wait_until
from tests.sockets import connect

JOBS = "/api/v1/jobs"


class Seen(msgspec.Struct, frozen=True):
    """An event as a client gets it."""

    type: str
    data: dict[str, Any]
    id: int = 0

    @property
    def told(self) -> tuple[Any, ...]:
        """What happened, without the attempt."""
        return self.type, self.data["status"], self.data["stage"], self.data["progress"]


async def events(answer: httpx.Response) -> AsyncIterator[Seen]:
    """The stream's events, by the rules of the HTML standard as far as they matter here."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        else:
            if "data" in fields:
                yield Seen(fields["event"], json.loads(fields["data"]), int(fields.get("id", 0)))
            fields = {}


async def progress(pool: Pool, job: Job, stage: str, percent: float) -> None:
    async with pool.acquire() as connection:
        assert await store.renew(connection, job, lease=HOUR, stage=stage, progress=percent)


async def test_a_job_is_seen_from_queue_to_end(client: httpx.AsyncClient, pool: Pool) -> None:
    """The state at once, each change of status, stage and percent as it is made, and the end after the final event."""
    async with pool.acquire() as connection:
        job = await queued(connection)
    async with client.stream("GET", f"{JOBS}/{job.id}/events") as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        stream = events(answer)
        assert (await anext(stream)).told == ("status", "queued", None, 0)
        async with pool.acquire() as connection:
            job = await claimed(connection)
        assert (await anext(stream)).told == ("status", "processing", "fetch", 0)
        await progress(pool, job, "transcribe", 41.26)
        assert (await anext(stream)).told == ("progress", "processing", "transcribe", 41.3)
        async with pool.acquire() as connection:
            await finished(connection, job)
        last = await anext(stream)
        assert last.told == ("status", "completed", None, 100)
        assert last.data == {
            "job_id": str(job.id),
            "status": "completed",
            "stage": None,
            "progress": 100,
            "attempt": 1,
            "error": None,
            "final": True,
        }
        assert await anext(stream, None) is None


async def test_resuming(client: httpx.AsyncClient, pool: Pool) -> None:
    """With the last id seen, only what came later is sent; after the final event, 204 tells an EventSource to stop."""
    url = ""

    async def first(last: object, **more: Any) -> Seen:
        async with client.stream("GET", url, headers={"Last-Event-ID": str(last)}, **more) as answer:
            return await anext(events(answer))

    async with pool.acquire() as connection:
        job = await queued(connection)
    url = f"{JOBS}/{job.id}/events"
    before = await first("")
    assert await first("nonsense") == before
    waiting = asyncio.create_task(first(before.id))
    async with pool.acquire() as connection:
        job = await claimed(connection)
    now = await waiting
    assert now.told == ("status", "processing", "fetch", 0)
    assert now.id > before.id
    waiting = asyncio.create_task(first(now.id))
    await progress(pool, job, "vad", 10)
    assert (await waiting).told in {("progress", "processing", "vad", 10), ("status", "processing", "vad", 10)}
    async with pool.acquire() as connection:
        await finished(connection, job)
    end = await first(before.id)
    assert end.data["final"]
    assert (await client.get(url, headers={"Last-Event-ID": str(end.id)})).status_code == 204
    assert (await client.get(url, params={"last_event_id": end.id})).status_code == 204
    async with pool.acquire() as connection:
        await removal.delete(connection, job.id, job.tenant)
    gone = await client.get(url, headers={"Last-Event-ID": str(end.id)})
    assert (gone.status_code, gone.json()["code"]) == (404, "job_not_found")


async def test_watchers_of_one_job_all_see_its_end(client: httpx.AsyncClient, pool: Pool, ingest: RunningService) -> None:
    """Of thirty-one watchers of one job one reads nothing; all others get the final event."""
    async with pool.acquire() as connection:
        job = await claimed_new(connection)
    url = f"{JOBS}/{job.id}/events"
    slow = httpx.AsyncClient(base_url=ingest.url, timeout=90)
    async with slow, slow.stream("GET", url), asyncio.timeout(60):
        begun = asyncio.Semaphore(0)

        async def until_final() -> None:
            async with client.stream("GET", url) as answer:
                async for event in events(answer):
                    begun.release()
                    if event.data["final"]:
                        return
            raise AssertionError("the stream ended before the job did")

        watchers = [asyncio.create_task(until_final()) for _ in range(30)]
        for _ in watchers:
            await begun.acquire()
        async with pool.acquire() as connection:
            await finished(connection, job)
        await asyncio.gather(*watchers)


async def claimed_new(connection: Any) -> Job:
    await queued(connection)
    return await claimed(connection)


async def test_websocket_says_the_same(ingest: RunningService, pool: Pool) -> None:
    """A WebSocket gets the same events, closes with 1000 after the final one, and resumes after an id."""
    async with pool.acquire() as connection:
        job = await queued(connection)
    url = f"{ingest.url.replace('http', 'ws', 1)}{JOBS}/{job.id}/ws"
    async with connect(url) as socket:
        assert received(await socket.recv()).told == ("status", "queued", None, 0)
        async with pool.acquire() as connection:
            job = await claimed(connection)
        started = received(await socket.recv())
        assert started.told == ("status", "processing", "fetch", 0)
        await progress(pool, job, "align", 80)
        assert received(await socket.recv()).told == ("progress", "processing", "align", 80)
        async with pool.acquire() as connection:
            await finished(connection, job)
        assert received(await socket.recv()).data["final"]
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000
    async with connect(f"{url}?last_event_id={started.id}") as socket:
        assert received(await socket.recv()).told == ("status", "completed", None, 100)


async def test_websocket_refuses_what_it_is_not_for(ingest: RunningService, client: httpx.AsyncClient, pool: Pool) -> None:
    """An unknown job, a page of another site, a plain request and a client that talks are all told so."""
    async with pool.acquire() as connection:
        job = await queued(connection)
    base = ingest.url.replace("http", "ws", 1)
    with pytest.raises(InvalidStatus) as missing:
        await connect(f"{base}{JOBS}/{ids.new()}/ws")
    assert refusal(missing.value) == (404, "job_not_found")
    with pytest.raises(InvalidStatus) as foreign:
        await connect(f"{base}{JOBS}/{job.id}/ws", origin="https://elsewhere.example")  # type: ignore[arg-type]  # a NewType of str
    assert refusal(foreign.value) == (403, "foreign_origin")
    assert '"level": "error"' not in ingest.log
    plain = await client.get(f"{JOBS}/{job.id}/ws")
    assert (plain.status_code, plain.json()["code"]) == (426, "upgrade_required")
    async with connect(f"{base}{JOBS}/{job.id}/ws") as socket:
        await socket.recv()
        await socket.send("hello?")
        with pytest.raises(ConnectionClosedError, match="1008"):
            await socket.recv()


async def test_keys_guard_streams(service: Services, pool: Pool) -> None:
    """Streams ask for a key like everything else; a WebSocket may offer it as a subprotocol; another tenant's job is not there."""
    async with pool.acquire() as connection:
        job = await queued(connection)
        mine = await create_key(connection, tenant=job.tenant, name="", scopes=("read",))
        other = await create_key(connection, tenant="other", name="", scopes=("read",))
        blind = await create_key(connection, tenant=job.tenant, name="", scopes=("write",))
    guarded = await service("ingest", AUTH="on")
    url = f"{guarded.url.replace('http', 'ws', 1)}{JOBS}/{job.id}/ws"

    async def denied(key: str | None) -> tuple[int, str]:
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, additional_headers={"Authorization": f"Bearer {key}"} if key else None)
        return refusal(refused.value)

    assert await denied(None) == (401, "unauthorized")
    assert await denied("vb_wrong") == (401, "unauthorized")
    assert await denied(blind) == (403, "forbidden")
    assert await denied(other) == (404, "job_not_found")
    async with connect(url, additional_headers={"Authorization": f"Bearer {mine}"}) as socket:
        assert received(await socket.recv()).data["status"] == "queued"
    async with connect(url, subprotocols=["verbatim.v1", f"bearer.{mine}"]) as socket:  # type: ignore[list-item]  # a NewType of str
        assert socket.subprotocol == "verbatim.v1"
        assert received(await socket.recv()).data["status"] == "queued"
    async with httpx.AsyncClient(base_url=guarded.url, timeout=90) as http:
        assert (await http.get(f"{JOBS}/{job.id}/events")).status_code == 401
        assert (await http.get(f"{JOBS}/{job.id}/events", headers={"Authorization": f"Bearer {other}"})).status_code == 404


async def test_websocket_while_the_database_is_away(database_url: str) -> None:
    """Who cannot be told from others yet is told so, and when to try again, as any request is."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async with database.connect(database_url, name="test") as away:
        guarded = Authentication(away)(cast("Any", None))
    scope: Any = {"type": "websocket", "path": f"{JOBS}/{ids.new()}/ws", "headers": [(b"authorization", b"Bearer vb_key")]}
    await guarded(scope, cast("Any", None), send)
    assert (sent[0]["status"], dict(sent[0]["headers"])[b"retry-after"]) == (503, b"5")
    assert b'"database_unavailable"' in sent[1]["body"]


async def test_stopping_lets_watchers_go(service: Services, pool: Pool) -> None:
    """A server that is told to stop ends its streams at once, cleanly, and exits long before the drain limit."""
    ingest = await service("ingest", DRAIN_SECONDS="600")
    async with pool.acquire() as connection:
        job = await queued(connection)
    async with (
        httpx.AsyncClient(base_url=ingest.url, timeout=90) as client,
        client.stream("GET", f"{JOBS}/{job.id}/events") as answer,
        asyncio.timeout(120),
    ):
        stream = events(answer)
        await anext(stream)
        async with connect(f"{ingest.url.replace('http', 'ws', 1)}{JOBS}/{job.id}/ws") as socket:
            await socket.recv()
            ingest.terminate()
            assert await anext(stream, None) is None
            with pytest.raises(ConnectionClosedError, match="1012"):
                await socket.recv()
        assert await ingest.gone() == 0


async def test_a_watcher_that_leaves_is_forgotten(client: httpx.AsyncClient, pool: Pool) -> None:
    """Streams that clients drop are no longer counted, nor is anything kept for them."""
    async with pool.acquire() as connection:
        job = await queued(connection)
    async with client.stream("GET", f"{JOBS}/{job.id}/events") as answer:
        stream = events(answer)
        await anext(stream)
        assert "verbatim_watchers 1.0" in (await client.get("/metrics")).text

    async def forgotten() -> bool:
        return "verbatim_watchers 0.0" in (await client.get("/metrics")).text

    await wait_until(forgotten, "the watcher to be forgotten")


def received(text: str | bytes) -> Seen:
    return msgspec.json.decode(text, type=Seen)


def refusal(refused: InvalidStatus) -> tuple[int, str]:
    body = json.loads(refused.response.body or b"{}")
    assert refused.response.headers["content-type"] == "application/problem+json"
    return refused.response.status_code, body["code"]


async def test_streams_end_with_their_key(service: Services, pool: Pool) -> None:
    """Revoking a key cuts what it has opened, of either kind; what another key has opened goes on."""
    ingest = await service("ingest", AUTH="on")
    async with pool.acquire() as connection:
        job = await queued(connection)
        ending, staying = [await create_key(connection, tenant=job.tenant, name=name, scopes=("read",)) for name in ("ending", "staying")]
    url = f"{ingest.url}{JOBS}/{job.id}"
    async with (
        httpx.AsyncClient(timeout=90) as client,
        client.stream("GET", f"{url}/events", headers={"Authorization": f"Bearer {ending}"}) as cut,
        client.stream("GET", f"{url}/events", headers={"Authorization": f"Bearer {staying}"}) as kept,
        connect(f"{url.replace('http', 'ws')}/ws", additional_headers={"Authorization": f"Bearer {ending}"}) as socket,
    ):
        doomed, going = events(cut), events(kept)
        await anext(doomed)
        await anext(going)
        await socket.recv()
        async with pool.acquire() as connection:
            await connection.execute("update api_keys set revoked_at = now() where name = 'ending'")
        async with asyncio.timeout(60):
            assert [seen async for seen in doomed] == []
            with pytest.raises(ConnectionClosedError) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        async with pool.acquire() as connection:
            await finished(connection, await claimed(connection))
        assert [seen.data["status"] async for seen in going][-1] == "completed"
