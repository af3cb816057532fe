"""tus 1.0 as an independent client (tuspy) speaks it, and as a client that is cut off, mistaken or hostile does."""

import asyncio
import base64
import hashlib
import io
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest
from tusclient.client import TusClient

from common.storage import Storage
from services.ingest.auth import create_key
from tests import recordings
from tests.integration.ingest.conftest import NOTHING, left_behind
from tests.running import RunningService, Services, wait_until

FILES = "/files"
JOBS = "/api/v1/jobs"
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {"Content-Type": "application/offset+octet-stream"}
MIB = 2**20


@pytest.fixture(scope="session")
def long() -> bytes:
    """Two whole parts and a bit, as WAV."""
    return recordings.sample(copies=12)


def encoded(**named: str) -> str:
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in named.items())


async def create(client: httpx.AsyncClient, size: int, **headers: str) -> str:
    answer = await client.post(FILES, headers=TUS | {"Upload-Length": str(size)} | headers)
    assert answer.status_code == 201, answer.text
    file: str = answer.headers["location"]
    return file


async def append(client: httpx.AsyncClient, file: str, offset: int, data: Any, **headers: str) -> httpx.Response:
    return await client.patch(file, content=data, headers=TUS | BYTES | {"Upload-Offset": str(offset)} | headers)


async def offset(client: httpx.AsyncClient, file: str) -> int:
    answer = await client.head(file, headers=TUS)
    assert (answer.status_code, answer.headers["cache-control"], answer.headers["tus-resumable"]) == (200, "no-store", "1.0.0")
    return int(answer.headers["upload-offset"])


async def submit(client: httpx.AsyncClient, file: str, **options: Any) -> httpx.Response:
    return await client.post(JOBS, json={"source": {"upload_id": file.rpartition("/")[2]}, **options})


def _send_all(url: str, data: bytes, chunk_size: int, *, checksum: bool) -> str:
    uploader = TusClient(f"{url}{FILES}").uploader(
        file_stream=io.BytesIO(data), chunk_size=chunk_size, metadata={"filename": "talk.wav"}, upload_checksum=checksum
    )
    uploader.upload()
    return str(uploader.url)


@pytest.mark.parametrize(("chunk_size", "checksum"), [(3 * MIB, False), (7 * MIB, True)], ids=["small-chunks", "checksums"])
async def test_an_independent_client(client: httpx.AsyncClient, long: bytes, store: Storage, chunk_size: int, *, checksum: bool) -> None:
    """tuspy uploads in chunks smaller and larger than a part, with and without checksums, and a job is made of what it sent."""
    url = await asyncio.to_thread(_send_all, str(client.base_url).rstrip("/"), long, chunk_size, checksum=checksum)
    answer = await submit(client, url, language="en")
    job = answer.json()
    assert (answer.status_code, job["id"]) == (202, url.rpartition("/")[2])
    assert (job["source"]["filename"], job["source"]["sha256"]) == ("talk.wav", hashlib.sha256(long).hexdigest())
    assert [found.key async for found in store.objects()] == [f"audio/{job['id']}.source"]
    assert await store.get(f"audio/{job['id']}.source") == long
    again = await client.head(httpx.URL(url).path, headers=TUS)
    assert int(again.headers["upload-offset"]) == int(again.headers["upload-length"]) == len(long)


async def test_what_it_can_do(client: httpx.AsyncClient) -> None:
    """OPTIONS says so without a version; every other request needs one."""
    answer = await client.options(FILES)
    assert (answer.status_code, answer.headers["tus-version"], answer.headers["tus-max-size"]) == (204, "1.0.0", str(4 * 2**30))
    assert answer.headers["tus-extension"] == "creation,creation-with-upload,termination,checksum,expiration"
    assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256"
    for version in ({}, {"Tus-Resumable": "0.2.2"}):
        refused = await client.post(FILES, headers=version | {"Upload-Length": "5"})
        assert (refused.status_code, refused.json()["code"]) == (412, "unsupported_version")
        assert (refused.headers["tus-version"], refused.headers["tus-resumable"]) == ("1.0.0", "1.0.0")


async def test_created_with_its_bytes(client: httpx.AsyncClient, sample: bytes, store: Storage) -> None:
    """A creation may bring the beginning, or all of it; what it told of itself is told again."""
    told = encoded(filename="talk.wav", camera="2")
    answer = await client.post(
        FILES, content=sample[:1000], headers=TUS | BYTES | {"Upload-Length": str(len(sample)), "Upload-Metadata": told}
    )
    assert (answer.status_code, answer.headers["upload-offset"], answer.json()["received"]) == (201, "1000", 1000)
    assert answer.headers["upload-expires"].endswith("GMT")
    file = answer.headers["location"]
    asked = await client.head(file, headers=TUS)
    assert (asked.headers["upload-metadata"], asked.headers["upload-length"]) == (told, str(len(sample)))
    done = await append(client, file, 1000, sample[1000:])
    assert (done.status_code, done.headers["upload-offset"], done.content) == (204, str(len(sample)), b"")
    seen = (await client.get(f"/api/v1/uploads/{file.rpartition('/')[2]}")).json()
    assert (seen["status"], seen["protocol"], seen["source"]["filename"]) == ("ready", "tus", "talk.wav")

    whole = await client.post(FILES, content=sample, headers=TUS | BYTES | {"Upload-Length": str(len(sample))})
    assert (whole.status_code, whole.json()["status"]) == (201, "ready")
    assert (await submit(client, whole.headers["location"])).status_code == 202


async def _cut(ingest: RunningService, file: str, start: int, data: bytes, announced: int) -> asyncio.StreamWriter:
    """A PATCH of which only the beginning has been sent."""
    _, writer = await asyncio.open_connection(*ingest.url.removeprefix("http://").split(":"))
    writer.transport.set_write_buffer_limits(0)  # what is drained has left this process, so nothing of it goes with the connection
    writer.write(
        f"PATCH {file} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nContent-Type: application/offset+octet-stream\r\n"
        f"Upload-Offset: {start}\r\nContent-Length: {announced}\r\n\r\n".encode()
        + data
    )
    await writer.drain()
    return writer


async def test_a_cut_costs_nothing(ingest: RunningService, client: httpx.AsyncClient, long: bytes) -> None:
    """What came before the connection broke is kept to the byte; until the server knows, others are told to wait."""
    file = await create(client, len(long))
    writer = await _cut(ingest, file, 0, long[: 6 * MIB], len(long))

    async def begun() -> bool:
        return await offset(client, file) > 5 * MIB - 1

    await wait_until(begun, "the first part to be safe")
    second = await append(client, file, await offset(client, file), b"x")
    assert (second.status_code, second.json()["code"], "retry-after" in second.headers) == (423, "upload_locked", True)
    writer.transport.abort()

    async def kept() -> bool:
        return await offset(client, file) == 6 * MIB

    await wait_until(kept, "the rest to be kept")
    stale = await append(client, file, 5 * MIB, long[5 * MIB :])
    assert (stale.status_code, stale.json()["code"], stale.json()["offset"]) == (409, "offset_conflict", 6 * MIB)
    assert (await append(client, file, 6 * MIB, long[6 * MIB :])).status_code == 204
    job = (await submit(client, file)).json()
    assert job["source"]["sha256"] == hashlib.sha256(long).hexdigest()


async def test_a_death_costs_what_was_not_told(service: Services, long: bytes, store: Storage) -> None:
    """Killed in the middle of a request, the next ingest goes on from the offset that was told last, and the recording is whole."""
    first = await service("ingest")
    async with httpx.AsyncClient(base_url=first.url, timeout=90) as client:
        file = await create(client, len(long))
        assert (await append(client, file, 0, long[: 2 * MIB])).status_code == 204
        writer = await _cut(first, file, 2 * MIB, long[2 * MIB : 8 * MIB], len(long) - 2 * MIB)

        async def more() -> bool:
            return await offset(client, file) >= 5 * MIB

        await wait_until(more, "a part to be safe")
        told = await offset(client, file)
        first.kill()
        writer.transport.abort()
    second = await service("ingest")
    async with httpx.AsyncClient(base_url=second.url, timeout=60) as client:
        assert await offset(client, file) >= told

        async def freed() -> bool:
            nonlocal told
            told = await offset(client, file)
            answer = await append(client, file, told, long[told:])
            assert answer.status_code in {204, 423}, answer.text
            return answer.status_code == 204

        await wait_until(freed, "the dead one's lease to end", 120)
        job = (await submit(client, file)).json()
    assert await store.get(f"audio/{job['id']}.source") == long


async def test_finished_when_it_is_submitted(client: httpx.AsyncClient, sample: bytes, database: asyncpg.Connection) -> None:
    """When the last request was cut off after all had come, the submission does what was left to do."""
    file = await create(client, len(sample))
    assert (await append(client, file, 0, sample)).status_code == 204
    await database.execute("update uploads set status = 'uploading', source = null")
    assert (await submit(client, file)).status_code == 202
    repeated = await append(client, file, len(sample), b"")
    assert (repeated.status_code, repeated.headers["upload-offset"]) == (204, str(len(sample)))


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
async def test_checksums(client: httpx.AsyncClient, long: bytes, algorithm: str) -> None:
    """Bytes that do not fit are not kept, not even those that made whole parts; those that do are."""
    file = await create(client, len(long))
    right = base64.b64encode(hashlib.new(algorithm, long).digest()).decode()
    wrong = await append(client, file, 0, long[:-1] + b"x", **{"Upload-Checksum": f"{algorithm} {right}"})
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["title"]) == (460, "checksum_mismatch", "Checksum Mismatch")
    assert await offset(client, file) == 0
    assert (await append(client, file, 0, long, **{"Upload-Checksum": f"{algorithm} {right}"})).status_code == 204
    assert (await submit(client, file)).json()["source"]["sha256"] == hashlib.sha256(long).hexdigest()


async def test_removed(client: httpx.AsyncClient, long: bytes, store: Storage, database: asyncpg.Connection) -> None:
    """With parts and a tail, or complete, all of it goes; also for clients that can only say POST."""
    unfinished = await create(client, len(long))
    assert (await append(client, unfinished, 0, long[: 6 * MIB])).status_code == 204
    assert (await append(client, unfinished, 6 * MIB, long[6 * MIB : 7 * MIB])).status_code == 204
    assert (await client.delete(unfinished, headers=TUS)).status_code == 204
    whole = await create(client, len(long))
    overridden = TUS | BYTES | {"Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert (await client.post(whole, content=long, headers=overridden)).status_code == 204
    assert (await client.post(whole, headers=TUS | {"X-HTTP-Method-Override": "DELETE"})).status_code == 204
    for file in (unfinished, whole):
        assert (await client.head(file, headers=TUS)).status_code == 404
    assert await left_behind(store, database) == NOTHING


CREATIONS: dict[str, tuple[dict[str, str], int, str, str | None]] = {
    "no length": ({}, 400, "invalid_header", "Upload-Length"),
    "deferred": ({"Upload-Defer-Length": "1"}, 400, "invalid_header", "Upload-Length"),
    "no number": ({"Upload-Length": "five"}, 400, "invalid_header", "Upload-Length"),
    "nothing": ({"Upload-Length": "0"}, 422, "empty_file", "size"),
    "too large": ({"Upload-Length": str(5 * 2**30)}, 413, "too_large", None),
    "no base64": ({"Upload-Length": "5", "Upload-Metadata": "filename %%%"}, 400, "invalid_header", "Upload-Metadata"),
    "a name twice": ({"Upload-Length": "5", "Upload-Metadata": "a YQ==,a YQ=="}, 400, "invalid_header", "Upload-Metadata"),
    "a great deal": ({"Upload-Length": "5", "Upload-Metadata": "a " + "YWFh" * 2000}, 400, "invalid_header", "Upload-Metadata"),
    "an option": ({"Upload-Length": "5", "Upload-Metadata": encoded(language="en")}, 422, "invalid_option", "language"),
    "no hash": ({"Upload-Length": "5", "Upload-Metadata": encoded(sha256="abc")}, 400, "invalid_header", "Upload-Metadata"),
    "another algorithm": ({"Upload-Length": "5", "Upload-Checksum": "md4 YQ=="}, 400, "invalid_header", "Upload-Checksum"),
}


async def test_bad_creations(client: httpx.AsyncClient, store: Storage, database: asyncpg.Connection) -> None:
    """Each is a problem with a code that names the header or option, and leaves nothing."""
    for case, (headers, status, code, field) in CREATIONS.items():
        answer = await client.post(FILES, headers=TUS | headers)
        assert (answer.status_code, answer.json()["code"], answer.json().get("field")) == (status, code, field), case
    text = await client.post(FILES, content=b"text " * 9, headers=TUS | BYTES | {"Upload-Length": "45"})
    assert (text.status_code, text.json()["code"]) == (415, "unsupported_media_type")
    assert await left_behind(store, database) == NOTHING
    assert await database.fetchval("select count(*) from uploads") == 0


async def test_bad_appends(client: httpx.AsyncClient, sample: bytes, store: Storage, database: asyncpg.Connection) -> None:
    """Another type, no offset, more than announced: the upload stays as it was. What is no recording goes at its first part."""
    file = await create(client, 1000)
    other = await client.patch(file, content=b"x", headers=TUS | {"Upload-Offset": "0", "Content-Type": "text/plain"})
    assert (other.status_code, other.json()["field"]) == (415, "Content-Type")
    none = await client.patch(file, content=b"x", headers=TUS | BYTES)
    assert (none.status_code, none.json()["field"]) == (400, "Upload-Offset")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield bytes(MIB)

    for more in (bytes(1001), endless()):
        beyond = await append(client, file, 0, more)
        assert (beyond.status_code, beyond.json()["code"], beyond.json()["limit"]) == (413, "too_large", 1000)
    assert await offset(client, file) == 0
    assert (await submit(client, file)).json()["code"] == "upload_incomplete"
    assert (await client.post(f"/api/v1/uploads/{file.rpartition('/')[2]}/complete")).json()["code"] == "wrong_protocol"

    zeros = await create(client, 20 * MIB)
    refused = await append(client, zeros, 0, io.BytesIO(bytes(6 * MIB)).read())
    assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_media_type")
    assert (await client.head(zeros, headers=TUS)).status_code == 404

    announced = await create(client, len(sample), **{"Upload-Metadata": encoded(sha256="00" * 32)})
    differs = await append(client, announced, 0, sample)
    assert (differs.status_code, differs.json()["code"]) == (422, "checksum_mismatch")
    await client.delete(file, headers=TUS)
    assert await left_behind(store, database) == NOTHING


async def test_lost_by_the_store(client: httpx.AsyncClient, long: bytes, database: asyncpg.Connection) -> None:
    """Who goes on with an upload whose bytes are gone from the store is told to begin anew."""
    file = await create(client, len(long))
    assert (await append(client, file, 0, long[:MIB])).status_code == 204
    await database.execute("update uploads set tail = gen_random_uuid()")
    lost = await append(client, file, MIB, long[MIB:])
    assert (lost.status_code, lost.json()["code"]) == (410, "upload_lost")
    assert (await client.head(file, headers=TUS)).status_code == 404


async def test_nothing_of_another_tenants(service: Services, sample: bytes, database: asyncpg.Connection) -> None:
    """Another tenant's file is none; without a key there is nothing at all but OPTIONS; parts have no file here."""
    mine, other = [
        {"Authorization": f"Bearer {await create_key(database, tenant=tenant, name='', scopes=('read', 'write'))}"} for tenant in "ab"
    ]
    guarded = await service("ingest", AUTH="on", MAX_QUEUED_JOBS="1")
    async with httpx.AsyncClient(base_url=guarded.url, timeout=90) as client:
        file = await create(client, len(sample), **mine)
        assert (await append(client, file, 0, sample, **other)).json()["code"] == "upload_not_found"
        for method in ("HEAD", "DELETE"):
            assert (await client.request(method, file, headers=TUS | other)).status_code == 404
        nobody = await client.post(FILES, headers=TUS | {"Upload-Length": "5"})
        assert (nobody.status_code, nobody.json()["code"], nobody.headers["tus-resumable"]) == (401, "unauthorized", "1.0.0")
        assert (await client.options(FILES)).status_code == 204
        parted = (await client.post("/api/v1/uploads", json={"size": 5}, headers=mine)).json()
        assert (await client.head(f"{FILES}/{parted['id']}", headers=TUS | mine)).status_code == 404
        await client.post(JOBS, files={"file": ("a.wav", sample)}, headers=mine)
        full = await client.post(FILES, headers=TUS | mine | {"Upload-Length": "5"})
        assert (full.status_code, full.json()["code"]) == (429, "queue_full")
