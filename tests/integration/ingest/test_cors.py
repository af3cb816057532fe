"""Browsers: only pages from the origins that were named may call the API, keys and resumable uploads included."""

import asyncpg
import httpx
import pytest
from websockets.exceptions import InvalidStatus

from common.database import Pool
from tests.jobs import queued
from tests.running import Services
from tests.sockets import connect

PAGE, OTHER = "https://app.example.com", "https://elsewhere.example.com"
JOBS = "/api/v1/jobs"
NOBODY = f"{JOBS}/0190a000-0000-7000-8000-000000000000"


def varied(answer: httpx.Response) -> set[str]:
    return {name.strip() for name in answer.headers.get("vary", "").split(",")}


async def test_only_pages_from_named_origins_may_call(service: Services, pool: Pool) -> None:
    """A page's preflight, request and WebSocket are let in, on tus too; another's get no header that would let its page read."""
    ingest = await service("ingest", CORS_ALLOW_ORIGINS=PAGE)
    async with httpx.AsyncClient(base_url=ingest.url, timeout=90) as http:
        for path, method, named in ((JOBS, "POST", "authorization"), ("/files", "POST", "tus-resumable,upload-length")):
            asks = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": named}
            let_in = await http.options(path, headers={"Origin": PAGE, **asks})
            assert let_in.status_code == 204, let_in.text
            assert let_in.headers["access-control-allow-origin"] == PAGE
            assert method in let_in.headers["access-control-allow-methods"]
            assert let_in.headers["access-control-allow-headers"] == named
            refused = await http.options(path, headers={"Origin": OTHER, **asks})
            assert not [name for name in refused.headers if name.startswith("access-control")]

        able = await http.options("/files", headers={"Origin": PAGE})
        assert (able.headers["access-control-allow-origin"], able.headers["tus-version"]) == (PAGE, "1.0.0")
        read = await http.get(JOBS, headers={"Origin": PAGE})
        assert read.headers["access-control-allow-origin"] == PAGE
        assert {"Location", "Upload-Offset"} <= set(read.headers["access-control-expose-headers"].split(", "))
        assert "access-control-allow-credentials" not in read.headers
        missing = await http.get(NOBODY, headers={"Origin": PAGE})
        assert (missing.status_code, missing.headers["access-control-allow-origin"]) == (404, PAGE)
        for headers in ({"Origin": OTHER}, {}):
            other = await http.get(JOBS, headers=headers)
            assert "access-control-allow-origin" not in other.headers
            assert "Origin" in varied(other)  # or a cache would serve it to the page

    async with pool.acquire() as connection:
        job = await queued(connection)
    address = f"{ingest.url.replace('http', 'ws', 1)}{JOBS}/{job.id}/ws"
    async with connect(address, origin=PAGE) as socket:  # type: ignore[arg-type]  # a NewType of str
        assert "queued" in str(await socket.recv())
    for origin in (OTHER, "http://[::1"):
        with pytest.raises(InvalidStatus, match="403"):
            await connect(address, origin=origin)  # type: ignore[arg-type]  # the same


async def test_no_page_may_call_unless_it_is_named(client: httpx.AsyncClient) -> None:
    """Without the setting nothing speaks of other origins."""
    for answer in (
        await client.get(JOBS, headers={"Origin": PAGE}),
        await client.options(JOBS, headers={"Origin": PAGE, "Access-Control-Request-Method": "POST"}),
        await client.options("/files", headers={"Origin": PAGE, "Access-Control-Request-Method": "POST"}),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "Origin" not in varied(answer)


async def test_no_page_acts_without_a_key(service: Services, database: asyncpg.Connection) -> None:
    """With `AUTH=off` a page needs no key, and a browser asks nobody before it sends a form or a text: other sites' are refused."""
    ingest = await service("ingest", CORS_ALLOW_ORIGINS=PAGE)
    endpoint = '{"url": "https://elsewhere.example/hook", "payload": "full"}'
    async with httpx.AsyncClient(base_url=ingest.url, timeout=90, headers={"Content-Type": "text/plain"}) as http:
        for origin in (OTHER, "null", "http://[::1"):
            refused = await http.post("/api/v1/webhooks", content=endpoint, headers={"Origin": origin})
            assert (refused.status_code, refused.json()["code"]) == (403, "foreign_origin")
        assert await database.fetchval("select count(*) from endpoints") == 0
        for origin in (PAGE, ingest.url):
            assert (await http.post("/api/v1/webhooks", content=endpoint, headers={"Origin": origin})).status_code == 201
        # A name that leads here makes a page of its owner's one of this server's.
        for host, status in (("rebound.example.com", 403), ("rebound.example.com:80", 403), ("app.example.com", 200), ("localhost.", 200)):
            read = await http.get("/api/v1/webhooks", headers={"Host": host})
            assert (read.status_code, "foreign_host" in read.text) == (status, status == 403), host
