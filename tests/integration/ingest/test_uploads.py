"""Uploads in parts, put straight into the store by signed addresses, and the jobs that are made of them."""

import asyncio
import hashlib
from typing import Any

import asyncpg
import httpx
import pytest

from common.storage import Storage
from tests import recordings
from tests.integration.ingest.conftest import NOTHING, Traces, left_behind
from tests.running import Services

JOBS = "/api/v1/jobs"
UPLOADS = "/api/v1/uploads"
NOBODY = "018f0000-0000-7000-8000-000000000000"


@pytest.fixture(scope="session")
def long() -> bytes:
    """Three parts' worth of WAV."""
    return recordings.sample(copies=12)


async def begin(client: httpx.AsyncClient, data: bytes, **more: Any) -> dict[str, Any]:
    answer = await client.post(UPLOADS, json={"size": len(data), "filename": "talk.wav", **more})
    assert answer.status_code == 201, answer.text
    begun: dict[str, Any] = answer.json()
    assert answer.headers["location"] == begun["links"]["self"] == f"{UPLOADS}/{begun['id']}"
    return begun


async def put(begun: dict[str, Any], data: bytes, urls: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """Put parts as anybody would who has the addresses."""
    done = []
    async with httpx.AsyncClient(timeout=90) as anybody:
        for part in urls or begun["urls"]:
            start = (part["number"] - 1) * begun["part_size"]
            answer = await anybody.put(part["url"], content=data[start : start + part["size"]])
            assert answer.status_code == 200, answer.text
            done.append({"number": part["number"], "etag": answer.headers["etag"]})
    return done


async def complete(client: httpx.AsyncClient, begun: dict[str, Any], **body: Any) -> httpx.Response:
    return await client.post(begun["links"]["complete"], json=body)


async def uploaded(client: httpx.AsyncClient, data: bytes) -> str:
    begun = await begin(client, data)
    await put(begun, data)
    assert (await complete(client, begun)).status_code == 200
    return str(begun["id"])


async def submit(client: httpx.AsyncClient, upload_id: str, headers: dict[str, str] | None = None, **options: Any) -> httpx.Response:
    return await client.post(JOBS, json={"source": {"upload_id": upload_id}, **options}, headers=headers)


async def rows(database: asyncpg.Connection) -> int:
    count: int = await database.fetchval("select count(*) from uploads")
    return count


async def test_from_parts_to_a_job(client: httpx.AsyncClient, long: bytes, store: Storage, database: asyncpg.Connection) -> None:
    """Parts go to the store in any order, some after their address was asked for anew; the job has the very bytes, and the upload's id."""
    begun = await begin(client, long)
    assert (begun["status"], [part["size"] for part in begun["urls"]]) == ("uploading", [5 * 2**20, 5 * 2**20, len(long) - 10 * 2**20])
    await put(begun, long, begun["urls"][2:])
    seen = (await client.get(begun["links"]["self"])).json()
    assert ([part["number"] for part in seen["parts"]], seen["received"]) == ([3], len(long) - 10 * 2**20)
    assert "urls" not in seen

    early = await complete(client, begun)
    assert (early.status_code, early.json()["code"], early.json()["missing"]) == (409, "parts_missing", [1, 2])
    assert (await submit(client, begun["id"])).json()["code"] == "upload_incomplete"
    anew = (await client.post(begun["links"]["urls"], json={"parts": [2, 1]})).json()
    tags = await put(begun, long, anew["urls"])
    assert await left_behind(store, database) == Traces(0, 0, 0, 1)

    ready = await complete(client, begun, parts=tags, sha256=hashlib.sha256(long).hexdigest().upper())
    assert (ready.status_code, ready.json()["status"], ready.json()["received"]) == (200, "ready", len(long))
    assert ready.json()["source"]["sha256"] == hashlib.sha256(long).hexdigest()
    assert (await complete(client, begun)).json() == ready.json()
    late = await client.post(begun["links"]["urls"], json={"parts": [1]})
    assert (late.status_code, late.json()["code"]) == (409, "upload_ready")

    answer = await submit(client, begun["id"], language="en")
    job = answer.json()
    assert (answer.status_code, job["id"], job["status"]) == (202, begun["id"], "queued")
    assert (job["source"]["filename"], job["source"]["size"], job["source"]["kind"]) == ("talk.wav", len(long), "audio")
    assert (round(job["source"]["duration"]), job["source"]["duration_estimated"]) == (360, False)
    assert await store.get(f"audio/{job['id']}.source") == long
    seen = (await client.get(begun["links"]["self"])).json()
    assert (seen["status"], seen["job_id"]) == ("submitted", job["id"])
    left = await left_behind(store, database)
    assert (left.jobs, left.objects, left.uploads) == (1, 1, 0)


async def test_one_job_an_upload(client: httpx.AsyncClient, sample: bytes, store: Storage, database: asyncpg.Connection) -> None:
    """However many ask at once, one gets the job; with a key of theirs all get it. The recording is the job's from then on."""
    upload_id = await uploaded(client, sample)
    answers = await asyncio.gather(*(submit(client, upload_id) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409]
    again = await submit(client, upload_id)
    assert (again.json()["code"], again.json()["job_id"]) == ("upload_submitted", upload_id)
    assert (await client.delete(f"{UPLOADS}/{upload_id}")).json()["code"] == "upload_submitted"
    assert await store.exists(f"audio/{upload_id}.source")

    other = await uploaded(client, sample)
    first = await submit(client, other, {"Idempotency-Key": "k"})
    copy = await submit(client, other, {"Idempotency-Key": "k"})
    assert (first.status_code, copy.content, copy.headers["idempotency-replayed"]) == (202, first.content, "true")
    assert (await submit(client, other, {"Idempotency-Key": "k"}, language="de")).json()["code"] == "idempotency_key_reused"
    assert (await left_behind(store, database)).jobs == 2


async def test_refused_submissions_leave_the_upload(client: httpx.AsyncClient, sample: bytes) -> None:
    """An option that is wrong costs no second upload."""
    upload_id = await uploaded(client, sample)
    assert (await submit(client, upload_id, beam_size=99)).status_code == 422
    assert (await submit(client, upload_id)).status_code == 202


async def test_what_is_not_what_it_should_be(
    client: httpx.AsyncClient, sample: bytes, store: Storage, database: asyncpg.Connection
) -> None:
    """No recording, or another than announced, is refused at its completion, and nothing of it remains."""
    text = b"just text\n" * 500
    begun = await begin(client, text)
    await put(begun, text)
    refused = await complete(client, begun)
    assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_media_type")

    begun = await begin(client, sample, sha256="00" * 32)
    await put(begun, sample)
    refused = await complete(client, begun)
    assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (422, "checksum_mismatch", "sha256")
    assert refused.json()["sha256"] == hashlib.sha256(sample).hexdigest()

    assert (await client.get(begun["links"]["self"])).json()["code"] == "upload_not_found"
    assert (await left_behind(store, database), await rows(database)) == (NOTHING, 0)


async def test_a_part_is_as_large_as_announced(client: httpx.AsyncClient, sample: bytes) -> None:
    """An address takes its part's size and no other, and no part passes for another: the limit on uploads holds in the store too."""
    begun = await begin(client, sample)
    async with httpx.AsyncClient(timeout=90) as anybody:
        refused = await anybody.put(begun["urls"][0]["url"], content=sample + b"more")
        assert refused.status_code == 403
        elsewhere = begun["urls"][0]["url"].replace("partNumber=1", "partNumber=2")
        assert (await anybody.put(elsewhere, content=sample)).status_code == 403
    await put(begun, sample)
    differs = await complete(client, begun, parts=[{"number": 1, "etag": '"00"'}])
    assert (differs.status_code, differs.json()["code"], differs.json()["part"]) == (422, "part_differs", 1)
    assert (await complete(client, begun)).status_code == 200


async def test_removed(client: httpx.AsyncClient, sample: bytes, store: Storage, database: asyncpg.Connection) -> None:
    """Complete or not, an upload of which no job was made can be removed, and is gone with all its bytes."""
    unfinished = await begin(client, sample)
    await put(unfinished, sample)
    finished = await uploaded(client, sample)
    for upload_id in (unfinished["id"], finished):
        assert (await client.delete(f"{UPLOADS}/{upload_id}")).status_code == 204
        assert (await client.delete(f"{UPLOADS}/{upload_id}")).status_code == 404
        assert (await submit(client, upload_id)).json()["code"] == "upload_not_found"
    assert (await left_behind(store, database), await rows(database)) == (NOTHING, 0)


async def test_completed_before_and_not_known(client: httpx.AsyncClient, sample: bytes, database: asyncpg.Connection) -> None:
    """An ingest that died after the object was made is no harm: completing again finishes it."""
    upload_id = await uploaded(client, sample)
    await database.execute("update uploads set status = 'uploading', source = null")
    assert (await client.post(f"{UPLOADS}/{upload_id}/complete")).json()["status"] == "ready"


async def test_lost_by_the_store(client: httpx.AsyncClient, sample: bytes, store: Storage, database: asyncpg.Connection) -> None:
    """What the store has no more, parts or the object that was made of them, has to be uploaded anew: 410, and nothing remains."""
    begun = await begin(client, sample)
    await put(begun, sample)
    for upload in [found async for found in store.open_uploads()]:
        await store.abort_upload(upload.key, upload.upload_id)
    answer = await complete(client, begun)
    assert (answer.status_code, answer.json()["code"]) == (410, "upload_lost")

    finished = await uploaded(client, sample)
    await store.delete([f"audio/{finished}.source"])
    answer = await submit(client, finished)
    assert (answer.status_code, answer.json()["code"]) == (410, "upload_lost")
    for upload_id in (begun["id"], finished):
        assert (await client.get(f"{UPLOADS}/{upload_id}")).json()["code"] == "upload_not_found"
    assert (await left_behind(store, database), await rows(database)) == (NOTHING, 0)


async def test_one_request_at_a_time(client: httpx.AsyncClient, sample: bytes, database: asyncpg.Connection) -> None:
    """While a request works on an upload another is told to wait; when it died with the lease in its hands, the next takes over."""
    begun = await begin(client, sample)
    await put(begun, sample)
    await database.execute("update uploads set lease_token = gen_random_uuid(), lease_until = now() + interval '1 hour'")
    waits = await complete(client, begun)
    assert (waits.status_code, waits.json()["code"], "retry-after" in waits.headers) == (423, "upload_locked", True)
    await database.execute("update uploads set lease_until = now() - interval '1 second'")
    assert (await complete(client, begun)).status_code == 200


BAD_BEGINNINGS: dict[str, tuple[Any, int, str, str | None]] = {
    "no size": ({}, 422, "invalid_option", "size"),
    "nothing": ({"size": 0}, 422, "empty_file", "size"),
    "less than nothing": ({"size": -1}, 422, "invalid_option", "size"),
    "no number": ({"size": "5"}, 422, "invalid_option", "size"),
    "too much": ({"size": 5 * 2**30}, 413, "too_large", None),
    "no hash": ({"size": 5, "sha256": "abc"}, 422, "invalid_option", "sha256"),
    "something unknown": ({"size": 5, "language": "en"}, 422, "invalid_option", "language"),
    "no object": ([5], 400, "malformed_json", None),
}


async def test_bad_requests(client: httpx.AsyncClient, sample: bytes, store: Storage, database: asyncpg.Connection) -> None:
    """Each is a problem with a code that names what is wrong, and leaves nothing."""
    for case, (body, status, code, field) in BAD_BEGINNINGS.items():
        answer = await client.post(UPLOADS, json=body)
        assert (answer.status_code, answer.json()["code"], answer.json().get("field")) == (status, code, field), case
    assert (await left_behind(store, database), await rows(database)) == (NOTHING, 0)
    begun = await begin(client, sample)
    for parts in ([2], [0], [], "1", list(range(1, 102))):
        answer = await client.post(begun["links"]["urls"], json={"parts": parts})
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_option", "parts"), parts
    for source in ({}, {"url": "http://a/b", "upload_id": NOBODY}, {"upload_id": "x"}, {"file": "x"}):
        answer = await client.post(JOBS, json={"source": source})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_source"), source
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/complete")):
        answer = await client.request(method, f"{UPLOADS}/{NOBODY}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "upload_not_found"), path


async def test_a_full_queue(service: Services, sample: bytes) -> None:
    """Nothing is begun for a queue that is full, and what was complete before waits until there is room."""
    ingest = await service("ingest", MAX_QUEUED_JOBS="1")
    async with httpx.AsyncClient(base_url=ingest.url, timeout=90) as client:
        first, second = await uploaded(client, sample), await uploaded(client, sample)
        assert (await submit(client, first)).status_code == 202
        for full in (await submit(client, second), await client.post(UPLOADS, json={"size": 5})):
            assert (full.status_code, full.json()["code"], "retry-after" in full.headers) == (429, "queue_full", True)
        await client.post(f"{JOBS}/{first}/cancel")
        assert (await submit(client, second)).status_code == 202


async def test_addresses_for_the_host_that_clients_reach(service: Services) -> None:
    """Signed for `S3_PUBLIC_ENDPOINT_URL`, for an hour; they reach no log."""
    public = await service("ingest", S3_PUBLIC_ENDPOINT_URL="https://media.example.com")
    async with httpx.AsyncClient(base_url=public.url, timeout=90) as client:
        begun = (await client.post(UPLOADS, json={"size": 6 * 2**20})).json()
    for part in begun["urls"]:
        assert part["url"].startswith("https://media.example.com/")
        assert "X-Amz-Expires=3600" in part["url"]
    assert "X-Amz-Signature" not in public.log
