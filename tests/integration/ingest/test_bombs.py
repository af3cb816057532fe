"""What is sent to exhaust the server is refused early, and the server goes on."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx

from tests.integration.ingest.test_bad_submissions import PROMPT, multipart
from tests.running import RunningService

JOBS = "/api/v1/jobs"


async def raw(ingest: RunningService, chunks: Iterator[bytes]) -> bytes:
    """What the server says while or after `chunks` are sent: all until it ends the connection."""
    reader, writer = await asyncio.open_connection(*ingest.url.removeprefix("http://").split(":"))

    async def send() -> None:
        try:
            for chunk in chunks:
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            pass

    sending = asyncio.create_task(send())
    answer = b""
    try:
        async with asyncio.timeout(60):
            while chunk := await reader.read(4_096):
                answer += chunk
    except ConnectionError:
        pass
    sending.cancel()
    writer.close()
    return answer


def endless(first: bytes, rest: bytes) -> Iterator[bytes]:
    yield first
    for _ in range(1_000):
        yield rest


LINE = b"GET /api/v1/jobs HTTP/1.1\r\nHost: x\r\n"


async def test_heads_without_end(ingest: RunningService) -> None:
    """A URL, a header's name, its value or a list of headers that does not end is cut off, and answered with a problem."""
    cases = {
        "a path": (b"GET /", b"x" * 4_096, b" 414 ", b"url_too_long"),
        "a value": (LINE + b"X: ", b"x" * 4_096, b" 431 ", b"headers_too_large"),
        "a name": (LINE, b"x" * 4_096, b" 431 ", b"headers_too_large"),
        "headers": (LINE, b"X: x\r\n" * 1_000, b" 431 ", b"headers_too_large"),
        "a single large read": (LINE + b"X: " + b"x" * 200_000 + b"\r\n\r\n", b"", b" 431 ", b"headers_too_large"),
        "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"", b" 400 ", b"malformed_http"),
    }
    for case, (first, rest, status, code) in cases.items():
        answer = await raw(ingest, endless(first, rest))
        assert status in answer.split(b"\r\n")[0], case
        assert code in answer, case
        assert b"application/problem+json" in answer, case


async def test_long_urls(client: httpx.AsyncClient) -> None:
    """A path or a query of more than 8 KiB is refused by its length; one that is merely long is not."""
    for path in (f"{JOBS}/{'x' * 9_000}", f"{JOBS}?{'a=b&' * 2_500}", f"{JOBS}?status={'%41' * 3_000}"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (414, "url_too_long")
    assert (await client.get(f"{JOBS}/{'x' * 7_000}")).status_code == 404
    assert (await client.get(f"{JOBS}?status={'x' * 7_000}")).status_code == 422


async def test_forms_of_many_or_large_parts(client: httpx.AsyncClient) -> None:
    """A form of a hundred fields, or with a part whose headers do not end, is refused before it is all read."""

    async def body(part: bytes) -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"' + part
        for _ in range(64):
            yield b"x" * 2**16

    many = await client.post(JOBS, **multipart(*[PROMPT.replace("prompt", f"p{n}") + "x" for n in range(100)]))
    assert (many.status_code, many.json()["code"]) in {(400, "malformed_multipart"), (422, "invalid_option")}
    large = await client.post(JOBS, content=body(b"; x="), headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert (large.status_code, large.json()["code"]) == (400, "malformed_multipart")
    boundary = await client.post(JOBS, content=b"--", headers={"Content-Type": f"multipart/form-data; boundary={'b' * 5_000}"})
    assert (boundary.status_code, boundary.json()["code"]) == (400, "malformed_multipart")


NOBODY = "018f0000-0000-7000-8000-000000000000"
JSON_BOMBS = {
    "nested and never closed": b"[" * 100_000,
    "nested and closed": b'{"a":' + b"[" * 600 + b"]" * 600 + b"}",
    "nested a little too deeply": b'{"a":' + b"[" * 40 + b"]" * 40 + b"}",
    "larger than anything": b" " * (3 * 2**20),
    "a number without end": b'{"a": 1' + b"0" * 5_000 + b"}",
    "half a character": b'{"a": "\\ud800"}',
    "a member that nobody can store": b'{"\\u0000": 1}',
    "not UTF-8": b'{"a": "\xff"}',
}


async def operations(client: httpx.AsyncClient) -> list[tuple[str, str, dict[str, Any]]]:
    """Method, an address, and what is documented of each operation of the native API."""
    paths = (await client.get("/schema/openapi.json")).json()["paths"]
    return [
        (method.upper(), "/".join(NOBODY if part.startswith("{") else part for part in path.split("/")), operation)
        for path, item in paths.items()
        for method, operation in item.items()
        if path.startswith("/api/v1/") and method in {"get", "post", "put", "delete"}
    ]


async def test_json_bombs(client: httpx.AsyncClient) -> None:
    """Every operation that takes JSON refuses what is nested, large or odd beyond reason, and never fails at it."""
    taking = [
        (method, path)
        for method, path, operation in await operations(client)
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    ]
    assert len(taking) > 12
    for method, path in taking:
        for case, body in JSON_BOMBS.items():
            answer = await client.request(method, path, content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code in {400, 413, 422}, (method, path, case, answer.text)
            assert answer.headers["content-type"] == "application/problem+json", (method, path, case)


async def test_query_bombs(client: httpx.AsyncClient) -> None:
    """Every operation with a query refuses by name what it does not know and what is no value, each in the same way."""
    asking = [(method, path, found) for method, path, operation in await operations(client) if (found := queried(operation))]
    assert len(asking) > 9
    for method, path, parameters in asking:
        odd = {name: "many" for name, schema in parameters.items() if schema.get("type") in {"integer", "number", "boolean"}}
        odd |= {name: "0001-01-01T00:00:00+14:00" for name, schema in parameters.items() if schema.get("format") == "date-time"}
        odd |= {name: "no such thing" for name, schema in parameters.items() if "enum" in schema or schema.get("format") == "uuid"}
        for name, value in {**odd, "nonsense": "1", next(iter(parameters)): "\0"}.items():
            answer = await client.request(method, path, params={name: value})
            assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_option", name), (method, path)


def queried(operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each["schema"] for each in operation.get("parameters", ()) if each["in"] == "query" and "{" not in each["name"]}
