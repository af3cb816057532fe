"""What a client can get wrong: each answered with a clear problem, and nothing left in S3 or Postgres."""

import asyncio
from typing import Any

import asyncpg
import httpx

from common.storage import Storage
from tests.integration.ingest.conftest import NOTHING, left_behind
from tests.running import Services, wait_until

JOBS = "/api/v1/jobs"


def multipart(*parts: str, boundary: str = "edge", end: str = "--edge--\r\n") -> dict[str, Any]:
    """A body written by hand, for forms that no client library would send."""
    return {
        "content": ("".join(f"--edge\r\n{part}\r\n" for part in parts) + end).encode("latin-1"),
        "headers": {"Content-Type": f"multipart/form-data; boundary={boundary}"},
    }


def file_part(content: str, name: str = "a.wav") -> str:
    return f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n{content}'


WAV = "RIFF\x24\x00\x00\x00WAVEfmt " + "\x00" * 64


GOOD = {"file": ("a.wav", WAV.encode("latin-1"))}
BAD_OPTIONS = {
    "language": "klingon",
    "task": "sing",
    "temperature": "7",
    "beam_size": "many",
    "align": "perhaps",
    "priority": "urgent",
    "webhook_url": "ftp://example.com/",
    "expires_in": "-1",
    "metadata": "{not json",
    "no_such_option": "1",
}
REDACTIONS = {
    "redact=person": {"redact": "person"},
    "unaligned": {"redact": "phone", "align": "false"},
    "translated": {"redact": "phone", "task": "translate"},
    "in Finnish": {"redact": "phone", "language": "fi"},
}
TASK = 'Content-Disposition: form-data; name="task"\r\n\r\nsing'
PROMPT = 'Content-Disposition: form-data; name="prompt"\r\n\r\n'

CASES: dict[str, tuple[dict[str, Any], int, str, str | None]] = {
    "an empty file": ({"files": {"file": ("a.wav", b"")}}, 422, "empty_file", "file"),
    "text named .mp3": ({"files": {"file": ("a.mp3", b"just text\n" * 500)}}, 415, "unsupported_media_type", "file"),
    "a file in another field": ({"files": {"other": ("a", b"x")}}, 422, "invalid_option", "other"),
    "a recording in another field": ({"files": {"audio": ("a.wav", b"\xff" * 99)}}, 422, "invalid_option", "audio"),
    "a large recording in another field": ({"files": {"audio": ("a.wav", bytes(70_000))}}, 422, "field_too_large", "audio"),
    "no file": (multipart(PROMPT + "hello"), 422, "file_missing", "file"),
    "two files": (multipart(file_part(WAV), file_part(WAV)), 422, "duplicate_file", "file"),
    "an option twice": (multipart(PROMPT + "a", PROMPT + "b"), 422, "duplicate_field", "prompt"),
    "a body that stops": (multipart(file_part(WAV), end=""), 400, "malformed_multipart", None),
    "another boundary": (multipart(file_part(WAV), boundary="another"), 400, "malformed_multipart", None),
    "no boundary": ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "malformed_multipart", None),
    "no form": ({"content": b"RIFF", "headers": {"Content-Type": "audio/wav"}}, 415, "unsupported_media_type", None),
    "nothing at all": ({"content": b""}, 415, "unsupported_media_type", None),
    "a huge option": ({"data": {"prompt": "x" * 70_000}, "files": GOOD}, 422, "field_too_large", "prompt"),
    "an option that is not UTF-8": (multipart(PROMPT + "\xff\xfe", file_part(WAV)), 422, "invalid_option", "prompt"),
    "a model where there is no choice": ({"data": {"model": "large-v3"}, "files": GOOD}, 422, "invalid_option", "model"),
    "a bad option after the file": (multipart(file_part(WAV), TASK), 422, "invalid_option", "task"),
    **{f"redaction, {case}": ({"data": data, "files": GOOD}, 422, "invalid_option", "redact") for case, data in REDACTIONS.items()},
    **{f"{name}={value}": ({"data": {name: value}, "files": GOOD}, 422, "invalid_option", name) for name, value in BAD_OPTIONS.items()},
}


async def test_refused_clearly(client: httpx.AsyncClient, store: Storage, database: asyncpg.Connection) -> None:
    """A submission that cannot be accepted gets a problem with a stable code, and leaves nothing behind."""
    for case, (request, status, code, field) in CASES.items():
        answer = await client.post(JOBS, **request)
        problem = answer.json()
        assert (answer.status_code, problem["code"], problem.get("field")) == (status, code, field), case
        assert answer.headers["content-type"].startswith("application/problem+json"), case
        assert len(problem["trace_id"]) == 32, case
        assert len(problem["detail"]) > 15, case
        assert "recording in another field" not in case or "'file'" in problem["detail"], case
        assert await left_behind(store, database) == NOTHING, case


async def test_only_models_that_are_offered(service: Services) -> None:
    """A job may name one of WHISPER_MODELS; for another the answer says which there are."""
    choosy = await service("ingest", WHISPER_MODELS="small, medium")
    async with httpx.AsyncClient(base_url=choosy.url, timeout=90) as client:
        refused = await client.post(JOBS, data={"model": "tiny"}, files=GOOD)
        accepted = await client.post(JOBS, data={"model": "medium"}, files=GOOD)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_option")
    assert "small, medium" in refused.json()["detail"]
    assert accepted.status_code == 202


async def test_announced_too_large(client: httpx.AsyncClient) -> None:
    """A Content-Length of 5 GB is refused at once, before a byte of the body is read."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    writer.write(
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 5000000000\r\n\r\n"
    )
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    writer.close()
    assert b" 413 " in head


async def test_too_large_without_saying_so(service: Services, store: Storage, database: asyncpg.Connection, sample: bytes) -> None:
    """A body of unknown length is refused at the byte where it passes the limit, and what was stored of it is gone."""
    small = await service("ingest", MAX_UPLOAD_BYTES=str(20 * 2**20))

    async def endless() -> Any:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + sample
        for _ in range(64):
            yield bytes(2**20)

    async with httpx.AsyncClient(base_url=small.url, timeout=90) as http:
        answer = await http.post(JOBS, content=endless(), headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert (answer.status_code, answer.json()["code"], answer.json()["limit"]) == (413, "too_large", 20 * 2**20)
    assert await left_behind(store, database) == NOTHING


async def test_name_never_becomes_a_path(client: httpx.AsyncClient, store: Storage, sample: bytes) -> None:
    """A hostile file name is kept as a label; the object's key holds only the job's id."""
    answer = await client.post(JOBS, files={"file": ("../../etc/passwd", sample)})
    job = answer.json()
    assert answer.status_code == 202
    assert job["source"]["filename"] in {"../../etc/passwd", "passwd"}
    assert [found.key async for found in store.objects()] == [f"audio/{job['id']}.source"]


async def test_client_that_goes_away_leaves_nothing(
    client: httpx.AsyncClient, store: Storage, database: asyncpg.Connection, sample: bytes
) -> None:
    """A connection that ends in the middle of an upload leaves no object, no open multipart upload and no row."""
    _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    writer.write(
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 90000000\r\n\r\n"
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + sample
    )
    for _ in range(40):
        writer.write(bytes(2**20))
        await writer.drain()

    async def under_way() -> bool:
        return (await left_behind(store, database)).uploads == 1

    async def clean() -> bool:
        return await left_behind(store, database) == NOTHING

    await wait_until(under_way, "the upload to begin")
    writer.transport.abort()
    await wait_until(clean, "the upload to be undone")


NOBODY = "018f0000-0000-7000-8000-000000000000"
BAD_READS = {
    f"{JOBS}/{NOBODY}": (404, "job_not_found"),
    f"{JOBS}/{NOBODY}/transcript": (404, "job_not_found"),
    f"{JOBS}/not-an-id": (404, "not_found"),
    f"{JOBS}?status=sleeping": (422, "invalid_option"),
    f"{JOBS}/{NOBODY}/transcript?format=xml": (422, "invalid_option"),
    f"{JOBS}?limit=9999": (422, "invalid_option"),
    f"{JOBS}?cursor=x": (422, "invalid_option"),
    f"{JOBS}/{NOBODY}?wait=61": (422, "invalid_option"),
    f"{JOBS}?created_after=0001-01-01T00:00:00%2B14:00": (422, "invalid_option"),
    "/api/v1/admin/tenants/a%00b/limits": (422, "invalid_option"),
    "/api/v1/admin/keys?tenant=a%00b": (422, "invalid_option"),
    "/api/v2": (404, "not_found"),
}


async def test_bad_reads(client: httpx.AsyncClient) -> None:
    """Reading what is not there, or with parameters that make no sense, is a problem with a code."""
    for path, expected in BAD_READS.items():
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["code"]) == expected, path
        assert answer.headers["content-type"].startswith("application/problem+json"), path


async def test_what_the_server_refuses_by_itself(client: httpx.AsyncClient) -> None:
    """A method or a host that it does not take is told in its own words, which repeat nothing of the request."""
    method = await client.put(f"{JOBS}/{NOBODY}")
    assert (method.status_code, method.json()["code"]) == (405, "method_not_allowed")
    assert {"GET", "DELETE"} <= set(method.headers["allow"].split(", "))
    host = await client.get(JOBS, headers={"Host": "<hunter2>"})
    assert (host.status_code, host.json()["code"]) == (400, "malformed_request")
    assert "hunter2" not in host.text
