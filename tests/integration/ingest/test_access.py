"""Every route, asked by everybody: who has no key, a dead one, another tenant's, one with too few rights, and one with just enough."""

import asyncio
import contextlib
import http.client
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, NamedTuple, cast
from uuid import UUID

import asyncpg
import httpx
import pytest
from litestar.routes import HTTPRoute
from websockets.exceptions import InvalidStatus

from common import cleanup, ids
from common.archives import Cut, Wanted
from common.database import Pool
from common.health import Health
from common.ids import JobId
from common.jobs.watch import Watch
from common.storage import Storage
from services.ingest import app
from services.ingest.auth import SCOPES, create_key, digest
from services.ingest.feeds import Feeds
from services.ingest.sessions import Sessions
from services.ingest.settings import Settings
from tests.integration.ingest.access import NEEDS, OWN_IDS, SENT
from tests.integration.ingest.test_jobs import JOBS, finish, submit
from tests.running import Services, wait_until
from tests.sockets import connect

MARK = "zebra"
HEARD = "Hello <there>"
AT_ONCE = 12
_BUSY = ("outbox",)
"""What changes by itself."""


class Answer(NamedTuple):
    """`status` is 101 for a WebSocket that was let in."""

    status: int
    text: str


class House(NamedTuple):
    """An ingest that asks for keys, and what there is of the one tenant: `found` by the names that paths have for it."""

    http: httpx.AsyncClient
    database: asyncpg.Connection
    storage: Storage
    owner: str
    found: dict[str, str]

    async def key(self, tenant: str, *scopes: str, expires_in: timedelta | None = None) -> str:
        return await create_key(self.database, tenant=tenant, name="", scopes=scopes, expires_in=expires_in)

    async def ask(self, row: str, key: str | bytes | None) -> Answer:
        """A request to a row of the table; bytes are a whole Authorization header."""
        method, path = row.split(" ")
        known = self.found | ({"upload_id": self.found["file_id"]} if path.startswith("/files") else {})
        path = path.format(**known)
        sent = {"headers": {}} | SENT.get(row, {})
        shown: dict[str, bytes] = {} if key is None else {"Authorization": key if isinstance(key, bytes) else f"Bearer {key}".encode()}
        if method == "WS":
            return await self._open(path, shown)
        answer = await self.http.request(method, path, **sent | {"headers": sent["headers"] | shown})
        return Answer(answer.status_code, f"{answer.text} {answer.headers}")

    async def ask_all(self, asked: Iterable[tuple[str, str | bytes | None]]) -> list[tuple[str, Answer]]:
        """Several at once."""
        room = asyncio.Semaphore(AT_ONCE)

        async def one(row: str, key: str | bytes | None) -> tuple[str, Answer]:
            async with room:
                return row, await self.ask(row, key)

        return await asyncio.gather(*(one(row, key) for row, key in asked))

    async def kept(self, *, of_owner: bool = False) -> dict[str, Any]:
        """All that is in the database and the store, or what there is of the owner."""
        tables = [
            (row["name"], row["owned"])
            for row in await self.database.fetch(
                "select t.tablename as name, c.column_name is not null as owned from pg_tables t left join information_schema.columns c"
                " on c.table_name = t.tablename and c.column_name = 'tenant' where t.schemaname = 'public' and t.tablename <> all($1)",
                _BUSY,
            )
        ]
        found = {
            name: await self.database.fetch(
                f'select row::text from "{name}" row {"where tenant = $$a$$" if of_owner and owned else ""} order by 1'  # noqa: S608
            )
            for name, owned in tables
        }
        return found | {"store": [each.key async for each in self.storage.objects()]}

    async def _open(self, path: str, headers: dict[str, bytes]) -> Answer:
        url = str(self.http.base_url).rstrip("/").replace("http", "ws", 1) + path
        shown = {name: value.decode("latin-1") for name, value in headers.items()}
        try:
            async with connect(url, additional_headers=shown, proxy=None):
                return Answer(101, "")
        except InvalidStatus as refused:
            return Answer(refused.response.status_code, (refused.response.body or b"").decode())


@pytest.fixture
async def house(
    service: Services, database: asyncpg.Connection, database_url: str, storage: Storage, sample: bytes
) -> AsyncIterator[House]:
    ingest = await service("ingest", AUTH="on")
    owner = await create_key(database, tenant="a", name=MARK, scopes=SCOPES)
    async with httpx.AsyncClient(base_url=ingest.url, timeout=90) as http:
        http.headers["Authorization"] = f"Bearer {owner}"
        found = await _furnish(http, database, database_url, storage, sample)
        del http.headers["Authorization"]
        yield House(http, database, storage, owner, found)


async def test_who_may_not(house: House) -> None:
    """Without a live key 401, without the scope 403, for another tenant's ids 404: and nothing is told, and nothing changes."""
    alone = {scope: await house.key("a", scope) for scope in SCOPES}
    lacking = {scope: await house.key("a", *(each for each in SCOPES if each != scope)) for scope in SCOPES}
    dead = [await house.key("a", *SCOPES), await house.key("a", *SCOPES, expires_in=timedelta(0))]
    await house.database.execute("update api_keys set revoked_at = now() where hash = $1", digest(dead[0]))
    stranger = await house.key("b", *SCOPES)
    guarded = [row for row, need in NEEDS.items() if need != "nothing"]
    wrong = list(_malformed(house.owner))
    before = await house.kept()

    nobody: list[tuple[str, str | bytes | None]] = [
        *((row, None) for row in guarded),
        *((row, wrong[number % len(wrong)]) for number, row in enumerate(guarded)),
        *(("GET /api/v1/jobs", header) for header in wrong),
        *((row, key) for row in guarded for key in dead),
    ]
    refused = {401: await house.ask_all(nobody)}
    few: list[tuple[str, str | bytes | None]] = [
        (row, key)
        for row in guarded
        if (need := NEEDS[row]) in SCOPES
        for key in (*(alone[scope] for scope in SCOPES if scope != need), lacking[need])
    ]
    refused[403] = await house.ask_all(few)
    assert await house.kept() == before

    before = await house.kept(of_owner=True)
    # `admin` is the operator's, over all tenants whichever the key is of: there is no stranger to what it opens.
    others: list[tuple[str, str | bytes | None]] = [(row, stranger) for row in guarded if NEEDS[row] in {"read", "write"}]
    answers = await house.ask_all(others)
    refused[404] = [(row, answer) for row, answer in answers if row.endswith(OWN_IDS) or any(f"{name}/" in row for name in OWN_IDS)]
    assert await house.kept(of_owner=True) == before

    for status, found in refused.items():
        assert {row: answer.status for row, answer in found if answer.status != status} == {}, status
    for row, answer in [*refused[401], *refused[403], *answers]:
        assert MARK not in answer.text, row
        assert HEARD not in answer.text, row
        assert answer.status < 500, row


async def test_who_may(house: House, pool: Pool) -> None:
    """Each scope alone opens what needs it; what is everybody's takes no key."""
    keys: dict[str, str | None] = {scope: await house.key("a", scope) for scope in SCOPES}
    keys |= {"nothing": None, "a key": await house.key("a", "read")}
    answers = dict(await house.ask_all((row, keys[need]) for row, need in NEEDS.items() if need in {"nothing", "a key", "read"}))
    async with _cleaning(pool):
        # What deletes comes last, and of that, what deletes more than one.
        for row in sorted(NEEDS.keys() - answers, key=lambda row: (row.startswith("DELETE"), "{" not in row, row)):
            answers[row] = await house.ask(row, keys[NEEDS[row]])
    for row, answer in answers.items():
        assert answer.status not in {401, 403}, row
        assert answer.status < 500, (row, answer)
        if "_id}" in row and row != "GET /api/v1/jobs/{job_id}/receipt":  # it was not deleted yet
            assert answer.status != 404, row
    reads = {row for row, need in NEEDS.items() if need == "read" and "{job_id}" in row}
    assert {row for row in reads if MARK in answers[row].text or HEARD in answers[row].text} >= {
        "GET /api/v1/jobs/{job_id}",
        "GET /api/v1/jobs/{job_id}/transcript",
        "GET /jobs/{job_id}/metadata",
    }, "an owner sees what strangers were looked at for"


async def test_there_is_no_way_round(house: House, sample: bytes) -> None:
    """However an address is written, however a method is told, whatever a job refers to: a key opens what is its tenant's."""
    job = f"api/v1/jobs/{house.found['job_id']}"
    spellings = (
        *(f"//{job}", f"/{job}/", f"/api//v1/jobs/{house.found['job_id']}", f"/./{job}", f"/x/../{job}", f"/schema/../{job}"),
        *(f"/{job.upper()}", f"/%61{job[1:]}", f"/api%2Fv1%2Fjobs%2F{house.found['job_id']}", f"/;{job}", f"/{job};x", f"/{job}%00"),
        *(f"http://elsewhere/{job}", f"/health/../{job}", "/jobs", "//jobs", "/jobs/", "/JOBS", f"/status//{house.found['job_id']}"),
    )

    def ask(path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(house.http.base_url.host, house.http.base_url.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    for path in spellings:
        status, text = await asyncio.to_thread(ask, path)
        assert status in {400, 401, 404}, path
        assert MARK not in text, path

    reader, stranger = await house.key("a", "read"), {"Authorization": f"Bearer {await house.key('b', *SCOPES)}"}
    for headers, wanted in (({}, 401), ({"Authorization": f"Bearer {reader}"}, 403), (stranger, 404)):
        overridden = headers | {"Tus-Resumable": "1.0.0", "X-HTTP-Method-Override": "DELETE"}
        assert (await house.http.post(f"/files/{house.found['file_id']}", headers=overridden)).status_code == wanted

    for upload in ("upload_id", "file_id"):
        answer = await house.http.post(JOBS, json={"source": {"upload_id": house.found[upload]}}, headers=stranger)
        assert answer.json()["code"] == "upload_not_found"
    told = {"lexicon_id": house.found["lexicon_id"]}
    answer = await house.http.post(JOBS, files={"file": ("talk.wav", sample)}, data=told, headers=stranger)
    assert (answer.status_code, answer.json()["field"]) == (422, "lexicon_id")


def test_every_route_is_in_the_table() -> None:
    """A new route is tried by the tests above as soon as it is said who may use it."""
    settings = Settings(
        database_url="postgresql://", amqp_url="amqp://", aws_access_key_id="key", aws_secret_access_key="secret", whisper_models=("base",)
    )
    feeds = Feeds()
    nothing = cast("Any", None)
    resources = app.Resources(
        pool=nothing,
        storage=Storage(nothing, "bucket"),
        remote=nothing,
        health=Health(nothing, {}),
        watch=Watch(),
        feeds=feeds,
        sessions=Sessions(feeds.wake),
        stopping=asyncio.Event(),
    )
    assert set(_rows(app.routed(settings, resources).routes)) == set(NEEDS)


def _rows(routes: Iterable[Any]) -> Iterator[str]:
    for route in routes:
        for method in (route.methods - {"OPTIONS"}) if isinstance(route, HTTPRoute) else ("WS",):
            yield f"{method} {route.path_format}"


def _malformed(key: str) -> Iterator[bytes]:
    """Headers that are nearly right."""
    yield from (b"Bearer", b"Bearer vb_", b"Bearer vb_\xff\xfe", b"Bearer '; select 1; --", b"Basic dmI6dmI=", key.encode())
    yield from (f"Bearer {near}".encode() for near in (key[:-1], f"{key}x", key.swapcase(), f"{key} {key}", f"{key},{key}"))
    yield f"Basic {key}".encode()


async def _furnish(
    client: httpx.AsyncClient, database: asyncpg.Connection, database_url: str, storage: Storage, sample: bytes
) -> dict[str, str]:
    """One of each."""
    job = await submit(client, sample, metadata=f'{{"name": "{MARK}"}}')
    await finish(database_url, storage, job["id"])
    await storage.put(Wanted(JobId(UUID(job["id"])), Cut()).key, b"PK", content_type="application/zip")
    delivery = ids.new()

    async def made(path: str, **request: Any) -> str:
        answer = await client.post(path, **request)
        assert answer.is_success, answer.text
        return str(answer.json()["id"])

    found = {
        "job_id": job["id"],
        "upload_id": await made("/api/v1/uploads", json={"size": 1_000, "filename": f"{MARK}.wav"}),
        "file_id": await made("/files", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "1000"}),
        "lexicon_id": await made("/api/v1/lexicons", json={"name": MARK, "hotwords": ["Diane"]}),
        "endpoint_id": await made("/api/v1/webhooks", json={"url": "https://hook.example/", "description": MARK}),
        "cleanup_id": await made("/api/v1/admin/cleanup", params={"wait": "0"}, json={"dry_run": True}),
        "key_id": await made("/api/v1/admin/keys", json={"tenant": "a", "name": MARK, "scopes": ["read"]}),
        "delivery_id": str(delivery),
        "letter_id": str(delivery),
        "tenant": "a",
        "name": "base",
        "path": "nothing",
        "file_path": "nothing.css",
    }
    assert (await client.post("/api/v1/webhooks/secret/rotate", json={})).status_code == 200
    await database.execute(
        "insert into deliveries (id, job_id, event_id, event_type, endpoint, lane, body)"
        " values ($1, $2, $1, 'job.completed', $3, lane_of(null, 'a', $3), $4)",
        delivery,
        UUID(job["id"]),
        f"https://hook.example/{MARK}",
        b"{}",
    )
    await database.execute("insert into dead_letters (id, queue, reason, headers, body) values ($1, 'a', 'rejected', '{}', '')", delivery)

    async def relayed() -> bool:
        return not await database.fetchval("select count(*) from outbox")

    await wait_until(relayed, "the relay to have nothing to do")
    return found


@asynccontextmanager
async def _cleaning(pool: Pool) -> AsyncIterator[None]:
    """A stand-in for the janitor, for whom one of the earlier services' routes waits."""

    async def clean() -> None:
        while True:
            async with pool.acquire() as connection:
                for row in await connection.fetch("select id from cleanups where finished_at is null"):
                    await cleanup.finish(connection, row["id"], [])
            await asyncio.sleep(0.05)

    task = asyncio.create_task(clean(), name="cleaning")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
