"""What pages are told, around any application."""

from typing import Any

import pytest
from litestar.types import Receive, Scope, Send

from services.ingest.cors import cors

PAGE = "https://app.example.com"


async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
    headers = [(b"vary", b"Accept"), (b"etag", b'"1"')]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def answered(*origins: str, method: str = "GET", **headers: str) -> dict[str, list[str]]:
    """The answer's headers, each with all its values."""
    found: dict[str, list[str]] = {}

    async def send(message: Any) -> None:
        for name, value in message.get("headers", ()):
            found.setdefault(name.decode(), []).append(value.decode())

    asked = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: Any = {"type": "http", "method": method, "path": "/", "headers": asked}
    await cors(application, origins)(scope, None, send)  # type: ignore[arg-type]  # nothing is received
    return found


@pytest.mark.parametrize("headers", [{}, {"origin": PAGE}, {"origin": "https://other.example"}], ids=["none", "named", "other"])
async def test_what_an_answer_varies_with_stays(headers: dict[str, str]) -> None:
    """The origin is added to it, whatever the request says of its own, as it is for the answers of others."""
    found = await answered(PAGE, **headers)
    assert found["vary"] == ["Accept", "Origin"]
    assert found.get("access-control-allow-origin") == ([PAGE] if headers.get("origin") == PAGE else None)


async def test_every_page() -> None:
    """Where all may call, answers are the same for each of them."""
    found = await answered("*", origin=PAGE)
    assert (found["access-control-allow-origin"], found["vary"]) == (["*"], ["Accept"])


async def test_a_preflight_is_not_the_applications() -> None:
    """It is answered with what a page may do; a plain OPTIONS is the application's, and may be read."""
    asks = {"origin": PAGE, "access_control_request_method": "PATCH", "access_control_request_headers": "tus-resumable"}
    found = await answered(PAGE, method="OPTIONS", **asks)
    assert "etag" not in found
    assert found["access-control-allow-headers"] == ["tus-resumable"]
    assert "PATCH" in found["access-control-allow-methods"][0]
    plain = await answered(PAGE, method="OPTIONS", origin=PAGE)
    assert (plain["etag"], plain["access-control-allow-origin"]) == (['"1"'], [PAGE])
