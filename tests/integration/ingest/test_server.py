"""The server's stop, as those see it who come at that moment."""

import asyncio
import socket
import sys
from typing import Any

import pytest
import uvicorn

from services.ingest.bounded_http import BoundedHttp
from services.ingest.server import Server
from tests.running import wait_until

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
