"""The server's stop, as those see it who come at that moment."""

import asyncio
import json
import socket
import sys
from typing import Any

import asyncpg
import httpx
import pytest
import uvicorn

from common.storage import Storage
from common.storage_keys import tail_key
from services.ingest.bounded_http import BoundedHttp
from services.ingest.server import Server
from tests import recordings
from tests.gateway import gateway
from tests.running import Services, wait_until

MIB = 2**20
TUS = {"Tus-Resumable": "1.0.0"}
_REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def answer(scope: dict[str, Any], _receive: object, send: Any) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


@pytest.mark.skipif(sys.platform != "linux", reason="other systems greet until the socket is closed")
async def test_a_stop_cuts_off_nobody_who_was_greeted() -> None:
    """Somebody comes at every turn of the loop, also while it closes the door: whoever can connect is answered, others are refused."""
    config = uvicorn.Config(answer, port=0, http=BoundedHttp, lifespan="off", log_config=None, access_log=False)
    server = Server(config)
    serving = asyncio.create_task(server.serve())
    await wait_until(lambda: server.started, "the server")
    port = server.servers[0].sockets[0].getsockname()[1]
    waiting = [_asked(port)]
    server.should_exit = True
    while True:
        try:
            waiting.append(_asked(port))
        except TimeoutError:
            pass
        except ConnectionRefusedError:
            break
        await asyncio.sleep(0)
        waiting = [each for each in waiting if not _answered(each)]
    await wait_until(lambda: all(_answered(each) for each in waiting), "the answers")
    await serving


def _asked(port: int) -> socket.socket:
    """Whoever is not greeted at once gives up."""
    client = socket.create_connection(("127.0.0.1", port), timeout=0.02)
    client.settimeout(0)
    client.sendall(_REQUEST)
    return client


def _answered(client: socket.socket) -> bool:
    if client.fileno() < 0:
        return True
    try:
        assert client.recv(1_000).startswith(b"HTTP/1.1 200")
    except BlockingIOError:
        return False
    client.close()
    return True


async def test_what_a_stop_cuts_off(service: Services, environment: dict[str, str], store: Storage, database: asyncpg.Connection) -> None:
    """Requests that outlast the drain are told so and give back key, leases and parts; of a tus upload nothing counts but what is safe."""
    long = recordings.sample(copies=12)
    async with gateway(environment["S3_ENDPOINT_URL"], store) as (held, address):
        held.stuck = lambda request: request.query.get("partNumber") == "2"
        ingest = await service("ingest", DRAIN_SECONDS="1", S3_ENDPOINT_URL=address)
        async with httpx.AsyncClient(base_url=ingest.url, timeout=90) as http:
            files = [(await http.post("/files", headers=TUS | {"Upload-Length": str(len(long))})).headers["location"] for _ in range(2)]
        form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + long[: 7 * MIB]
        headers = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
        submission = {"Content-Type": "multipart/form-data; boundary=b", "Idempotency-Key": "k"}

        async def under_way(*, safe: int, opened: int) -> bool:
            rows = await database.fetch("select received, next_part from uploads order by id")
            found = len([each async for each in store.open_uploads()])
            return (sum(row["received"] > 0 for row in rows), found, rows[1]["next_part"]) == (safe, opened, 3)

        sending = [await _begin(ingest.url, f"PATCH {files[1]}", headers, long[: 10 * MIB + MIB // 4])]
        await wait_until(lambda: under_way(safe=1, opened=2), "a part that is stuck", 60)
        waiting = await _begin(ingest.url, "POST /api/v1/jobs", submission, form)
        await wait_until(lambda: under_way(safe=1, opened=3), "the submission", 60)
        sending.append(await _begin(ingest.url, f"PATCH {files[0]}", headers, long[: 6 * MIB]))
        await wait_until(lambda: under_way(safe=2, opened=3), "a part that is safe", 60)
        ingest.terminate()
        head, body = await _answer(waiting)
        assert head.startswith(b"HTTP/1.1 503 ")
        assert json.loads(body)["code"] == "restarting"
        assert await ingest.gone(60) == 0
        for client in sending:
            client.close()
    assert "Exception in ASGI" not in ingest.log
    assert await database.fetchval("select count(*) from idempotency_keys") == 0
    uploads = await database.fetch("select * from uploads order by id")
    assert [row["lease_token"] for row in uploads] == [None, None]
    assert len([each async for each in store.open_uploads()]) == 2
    safe = [
        await database.fetchval("select sum(size)::bigint from upload_parts where upload_id = $1", row["id"])
        + (0 if row["tail"] is None else await store.size(tail_key(row["id"], row["tail"])))
        for row in uploads
    ]
    assert [row["received"] for row in uploads] == safe
    assert safe[0] > 5 * MIB


async def _begin(url: str, operation: str, headers: dict[str, str], data: bytes) -> socket.socket:
    """A request of which only the beginning is sent."""
    asked = httpx.URL(url)
    client = await asyncio.to_thread(socket.create_connection, (asked.host, asked.port), 60)
    head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "x", "Content-Length": str(len(data) + 1), **headers}.items())
    await asyncio.to_thread(client.sendall, f"{operation} HTTP/1.1\r\n{head}\r\n".encode() + data)
    return client


async def _answer(client: socket.socket) -> tuple[bytes, bytes]:
    """Head and body."""
    with client, client.makefile("rb") as answer:
        head, _, body = (await asyncio.to_thread(answer.read)).partition(b"\r\n\r\n")
    return head, body
