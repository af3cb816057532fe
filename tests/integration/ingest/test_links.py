"""Recordings submitted by URL: fetched like an upload from where they may be fetched, and from nowhere else."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import asyncpg
import httpx
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from common.storage import Storage
from services.ingest.problems import Problem
from services.ingest.remote import opened
from tests.integration.ingest.conftest import NOTHING, left_behind
from tests.running import RunningService, Services

JOBS = "/api/v1/jobs"
ALLOWED = "127.0.0.1/32"
SECRET = "hunter2"  # in URLs, and nowhere else

FORBIDDEN = (
    "http://127.0.0.2/a.wav",
    "http://127.2/a.wav",
    "http://2130706434/a.wav",
    "http://0x7f000002/a.wav",
    "http://0/a.wav",
    "http://[::1]/a.wav",
    "http://[::ffff:127.0.0.2]/a.wav",
    "http://[::ffff:10.0.0.1]/a.wav",
    "http://10.0.0.1/a.wav",
    "http://172.16.0.1/a.wav",
    "http://192.168.1.1/a.wav",
    "http://100.64.0.1/a.wav",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[fe80::1]/a.wav",
    "http://[fc00::1]/a.wav",
    "http://[64:ff9b::7f00:2]/a.wav",
    "http://[2002:7f00:2::]/a.wav",
    "http://224.0.0.1/a.wav",
    "http://255.255.255.255/a.wav",
)
NO_SCHEME_OF_OURS = (
    "file:///etc/passwd",
    "gopher://127.0.0.1:70/_x",
    "ftp://example.com/a.wav",
    "data:audio/wav;base64,UklGRg==",
    "a.wav",
    "",
)


@pytest.fixture
async def ingest(service: Services) -> RunningService:
    """Ingest that may fetch from 127.0.0.1 and from no other address of this machine."""
    return await service("ingest", URL_ALLOW_NETWORKS=ALLOWED, MAX_UPLOAD_BYTES=str(8 * 2**20), URL_TIMEOUT_SECONDS="30")


class Site:
    """What a web site answers: a recording, and things that are none."""

    def __init__(self, sample: bytes) -> None:
        self._sample = sample

    async def recording(self, request: web.Request) -> web.Response:
        seen = {"cookie", "authorization", "referer"} & {name.lower() for name in request.headers}
        assert seen <= ({"authorization"} if request.path.startswith("/guarded") else set())
        return web.Response(body=self._sample)

    async def redirect(self, request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": request.query["to"], "Set-Cookie": "a=b"})

    async def hops(self, request: web.Request) -> web.Response:
        left = int(request.match_info["left"])
        return web.Response(status=307, headers={"Location": f"/hops/{left - 1}" if left else "/talk.wav"})

    async def endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(self._sample)
        for _ in range(64):
            await response.write(bytes(2**20))
        return response

    async def cut(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(self._sample))})
        await response.prepare(request)
        await response.write(self._sample[:100_000])
        assert request.transport is not None
        request.transport.close()
        return response

    async def huge(self, _request: web.Request) -> web.Response:
        return web.Response(headers={"Content-Length": str(2**40)})

    async def bomb(self, _request: web.Request) -> web.Response:
        response = web.Response(body=self._sample[:1_000] + bytes(10_000_000))
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async def empty(self, _request: web.Request) -> web.Response:
        return web.Response()

    async def page(self, _request: web.Request) -> web.Response:
        return web.Response(body=b"<html>Sign in</html>")


@asynccontextmanager
async def site(sample: bytes) -> AsyncIterator[str]:
    """A `Site` by its URL."""
    found = Site(sample)
    app = web.Application()
    for path, handler in {
        "/talk.wav": found.recording,
        f"/{SECRET}": found.recording,
        "/guarded/talk.wav": found.recording,
        "/to": found.redirect,
        "/hops/{left}": found.hops,
        "/endless": found.endless,
        "/cut": found.cut,
        "/huge": found.huge,
        "/bomb": found.bomb,
        "/empty": found.empty,
        "/page": found.page,
    }.items():
        app.router.add_get(path, handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def post(client: httpx.AsyncClient, url: str, **more: Any) -> httpx.Response:
    return await client.post(JOBS, json={"source": {"url": url}, **more})


async def test_a_link_is_as_good_as_an_upload(client: httpx.AsyncClient, sample: bytes, store: Storage) -> None:
    """The recording is stored byte for byte, named by its path if that is a name, with the options typed or as text."""
    async with site(sample) as url:
        answer = await post(client, f"{url}/talk.wav?token={SECRET}", language="en", beam_size=3, metadata={"a": "b"})
        nameless = await post(client, f"{url}/{SECRET}", beam_size="3")
        guarded = await post(client, f"{url.replace('//', '//user:' + SECRET + '@')}/guarded/talk.wav")
    job = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"{JOBS}/{job['id']}")
    assert (job["source"]["filename"], job["source"]["size"], job["source"]["content_type"]) == ("talk.wav", len(sample), "audio/wav")
    assert job["options"] == {"language": "en", "beam_size": 3, "metadata": {"a": "b"}}
    assert await store.get(f"audio/{job['id']}.source") == sample
    assert (nameless.status_code, nameless.json()["source"]["filename"]) == (202, "")
    assert guarded.status_code == 202


async def test_redirects(client: httpx.AsyncClient, sample: bytes) -> None:
    """Three are followed and no more, and none to another scheme."""
    async with site(sample) as url:
        assert (await post(client, f"{url}/hops/2")).status_code == 202
        assert (await post(client, f"{url}/hops/3")).json()["code"] == "source_refused"
        for to in (url.replace("http", "https"), "file:///etc/passwd", "gopher://127.0.0.1:70/_x", "http://[::1"):
            answer = await post(client, str(httpx.URL(f"{url}/to", params={"to": to})))
            assert (answer.status_code, answer.json()["code"]) == (422, "source_refused"), to


async def test_addresses_that_are_not_public(
    client: httpx.AsyncClient, sample: bytes, store: Storage, database: asyncpg.Connection
) -> None:
    """Loopback, private, link-local, metadata and translated addresses are refused in every spelling, named or redirected to."""
    async with site(sample) as url:
        for target in FORBIDDEN:
            for address in (target, str(httpx.URL(f"{url}/to", params={"to": target}))):
                answer = await post(client, address)
                assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "source_refused", "source.url"), target
    for target in NO_SCHEME_OF_OURS:
        answer = await post(client, target)
        assert (answer.status_code, answer.json()["code"]) == (422, "source_refused"), target
    assert await left_behind(store, database) == NOTHING


async def test_without_an_allowed_network_this_machine_is_out_of_reach(service: Services, sample: bytes) -> None:
    """By default nothing that is not public is fetched, `localhost` included."""
    closed = await service("ingest", URL_ALLOW_NETWORKS="")
    async with site(sample) as url, httpx.AsyncClient(base_url=closed.url, timeout=90) as client:
        for address in (url, url.replace("127.0.0.1", "localhost")):
            assert (await post(client, f"{address}/talk.wav")).json()["code"] == "source_refused"


class _Rebinding(AbstractResolver):
    """Names a public address first and this machine from then on, as a hostile name server would."""

    def __init__(self) -> None:
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        assert family in {socket.AF_UNSPEC, socket.AF_INET}
        self.asked += 1
        address = "127.0.0.1" if self.asked == 1 else "127.0.0.2"
        return [{"hostname": host, "host": address, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


async def test_a_name_that_is_bound_anew(sample: bytes) -> None:
    """A name that led somewhere allowed the first time is refused the second time, in one and the same fetch."""
    resolver = _Rebinding()
    async with (
        site(sample) as url,
        opened(limit=timedelta(seconds=60), allowed=[ip_network(ALLOWED)], resolver=resolver) as remote,
    ):
        named = url.replace("127.0.0.1", "rebind.example")
        with pytest.raises(Problem, match="not public"):
            async with remote.fetch(f"{named}/hops/0"):
                pass
    assert resolver.asked == 2


async def test_what_cannot_be_had(client: httpx.AsyncClient, sample: bytes, store: Storage, database: asyncpg.Connection) -> None:
    """A source that is missing, broken, too large or no recording is a clear problem, shows no URL, and leaves nothing behind."""
    async with site(sample) as url:
        closed = url
        cases = {
            "/nowhere": (422, "source_unreachable"),
            "/cut": (422, "source_unreachable"),
            "/huge": (413, "too_large"),
            "/endless": (413, "too_large"),
            "/empty": (422, "empty_file"),
            "/page": (415, "unsupported_media_type"),
            "/bomb": (415, "unsupported_media_type"),
        }
        for path, expected in cases.items():
            answer = await post(client, f"{url}{path}?token={SECRET}")
            assert (answer.status_code, answer.json()["code"]) == expected, path
            assert SECRET not in answer.text
    for address in (closed, "http://no-such-host.invalid", "http://a..b", f"http://{'x' * 64}.example", "http://127.0.0.1:99999"):
        answer = await post(client, f"{address}/a.wav?token={SECRET}")
        assert (answer.status_code, answer.json()["code"]) in {(422, "source_unreachable"), (422, "source_refused")}, address
        assert SECRET not in answer.text
    assert await left_behind(store, database) == NOTHING


async def test_a_source_that_never_ends_its_answer(service: Services, sample: bytes) -> None:
    """A server that stays silent costs no more than the time limit."""
    hurried = await service("ingest", URL_ALLOW_NETWORKS=ALLOWED, URL_TIMEOUT_SECONDS="0.5")

    async def silent(reader: Any, writer: Any) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with httpx.AsyncClient(base_url=hurried.url, timeout=60) as client, server:
        answer = await post(client, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a.wav")
    assert (answer.status_code, answer.json()["code"]) == (422, "source_unreachable")
    assert "in time" in answer.json()["detail"]


async def test_the_same_link_twice(client: httpx.AsyncClient, sample: bytes) -> None:
    """With a key the copy of a request is answered without going there again; another URL is another request."""
    async with site(sample) as url:
        first = await client.post(JOBS, json={"source": {"url": f"{url}/talk.wav"}}, headers={"Idempotency-Key": "k"})
    again = await client.post(JOBS, json={"source": {"url": f"{url}/talk.wav"}}, headers={"Idempotency-Key": "k"})
    other = await client.post(JOBS, json={"source": {"url": f"{url}/other.wav"}}, headers={"Idempotency-Key": "k"})
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    assert other.json()["code"] == "idempotency_key_reused"


BODIES: dict[str, tuple[bytes, int, str, str | None]] = {
    "nothing": (b"", 400, "malformed_json", None),
    "no JSON": (b"{", 400, "malformed_json", None),
    "no object": (b"[1]", 400, "malformed_json", None),
    "not UTF-8": (b'{"a": "\xff"}', 400, "malformed_json", None),
    "nested without end": (b'{"a":' * 40_000, 400, "malformed_json", None),
    "three megabytes": (b" " * 3 * 2**20, 413, "too_large", None),
    "no source": (b"{}", 422, "invalid_source", "source"),
    "a source that is text": (b'{"source": "http://example.com/"}', 422, "invalid_source", "source"),
    "a source with more": (b'{"source": {"url": "http://example.com/", "headers": {}}}', 422, "invalid_source", "source"),
    "an unknown option": (b'{"source": {"url": "http://example.com/"}, "wings": 2}', 422, "invalid_option", "wings"),
    "a wrong option": (b'{"source": {"url": "http://example.com/"}, "task": ["sing"]}', 422, "invalid_option", "task"),
    "a number without end": (
        b'{"source": {"url": "http://example.com/"}, "beam_size": 1' + b"0" * 5_000 + b"}",
        400,
        "malformed_json",
        None,
    ),
}


async def test_bodies_that_are_refused(client: httpx.AsyncClient) -> None:
    """What is no such JSON, or asks for what there is not, is refused before anything is fetched."""
    for case, (body, status, code, field) in BODIES.items():
        answer = await client.post(JOBS, content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"], answer.json().get("field")) == (status, code, field), case
