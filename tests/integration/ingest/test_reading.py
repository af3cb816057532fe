"""Transcripts with options, conditional requests, lists with filters, and the recording itself, through the real API."""

from typing import Any

import asyncpg
import httpx
import pytest

from common.storage import Storage
from tests.integration.ingest.test_jobs import JOBS, finish, submit
from tests.running import Services


async def test_subtitle_options(client: httpx.AsyncClient, store: Storage, sample: bytes, database_url: str) -> None:
    """They change what is made of the same transcript."""
    job = await submit(client, sample)
    await finish(database_url, store, job["id"])
    url = f"{JOBS}/{job['id']}/transcript"
    bare = await client.get(url, params={"format": "srt", "speaker_labels": "false", "max_line_length": "10", "max_lines": "3"})
    assert "\nHello\n<there>\n& all.\n" in bare.text
    labelled = await client.get(url, params={"format": "vtt"})
    assert "<v SPEAKER_00>Hello &lt;there&gt; &amp; all." in labelled.text


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("format=docx", "format"),
        ("format=srt&max_line_length=9", "max_line_length"),
        ("format=srt&max_lines=many", "max_lines"),
        ("format=srt&max_duration=1&min_duration=2", "max_duration"),
        ("format=srt&speaker_labels=perhaps", "speaker_labels"),
        ("format=srt&max_cps=nan", "max_cps"),
        ("format=srt&max_line_lenght=20", "max_line_lenght"),
        ("format=srt&max_lines=1&max_lines=2", "max_lines"),
        ("format=json&max_lines=1", "max_lines"),
        ("format=ttml&highlight_words=true", "highlight_words"),
        ("format=srt&highlight_words=true&max_lines=10&max_line_length=200", "highlight_words"),
    ],
)
async def test_options_that_cannot_be_accepted(client: httpx.AsyncClient, sample: bytes, query: str, field: str) -> None:
    """Each is a 422 that names it, known or unknown, wrong or without effect."""
    job = await submit(client, sample)
    answer = await client.get(f"{JOBS}/{job['id']}/transcript?{query}")
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_option", field)


async def test_what_a_client_has_is_not_sent_again(client: httpx.AsyncClient, store: Storage, sample: bytes, database_url: str) -> None:
    """Job and transcript have an ETag; If-None-Match gets a 304 until they change."""
    job = await submit(client, sample)
    url = f"{JOBS}/{job['id']}"
    first = await client.get(url)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"
    for wanted in (tag, f'"other", W/{tag}', "*"):
        same = await client.get(url, headers={"If-None-Match": wanted})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    await finish(database_url, store, job["id"])
    changed = await client.get(url, headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["status"]) == (200, "completed")
    transcript = await client.get(f"{url}/transcript", params={"format": "srt"})
    again = {"If-None-Match": transcript.headers["etag"]}
    assert (await client.get(f"{url}/transcript", params={"format": "srt"}, headers=again)).status_code == 304
    assert (await client.get(f"{url}/transcript", params={"format": "vtt"}, headers=again)).status_code == 200


async def test_head_is_get_without_a_body(client: httpx.AsyncClient, store: Storage, sample: bytes, database_url: str) -> None:
    """Wherever GET is, with its headers; a stream is over at once; and whoever asks what an address takes is told."""
    job = await submit(client, sample)
    url = f"{JOBS}/{job['id']}"
    stream = await client.head(f"{url}/events")
    assert (stream.status_code, stream.headers["content-type"], stream.content) == (200, "text/event-stream; charset=utf-8", b"")
    await finish(database_url, store, job["id"])
    for path in (url, f"{url}/transcript", f"{url}/audio", JOBS, f"{JOBS}/{job['id'][::-1]}", "/schema/openapi.json", "/health", "/jobs"):
        got, told = await client.get(path), await client.head(path)
        assert (told.status_code, told.content) == (got.status_code, b""), path
        assert {*told.headers} == {*got.headers}, path
        assert all(told.headers.get(name) == got.headers.get(name) for name in ("content-length", "content-type", "etag")), path
    tag = {"If-None-Match": (await client.head(url)).headers["etag"]}
    assert (await client.head(url, headers=tag)).status_code == 304
    assert (await client.options(url)).headers["allow"] == "DELETE, GET, HEAD, OPTIONS"
    assert "HEAD" in (await client.put(url)).headers["allow"].split(", ")
    assert (await client.head(f"{JOBS}/{job['id']}/cancel")).status_code == 405


async def listed(client: httpx.AsyncClient, **query: str) -> list[str]:
    answer = await client.get(JOBS, params=query)
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.json()["jobs"]]


async def test_filters(client: httpx.AsyncClient, sample: bytes) -> None:
    """By status, by time and by metadata, which all must hold."""
    a = await submit(client, sample, metadata='{"call": "7", "desk": "north"}')
    b = await submit(client, sample, metadata='{"call": "8", "desk": "north"}')
    c = await submit(client, sample)
    await client.post(f"{JOBS}/{b['id']}/cancel")
    assert await listed(client, **{"metadata.desk": "north"}) == [b["id"], a["id"]]
    assert await listed(client, **{"metadata.desk": "north", "metadata.call": "7"}) == [a["id"]]
    assert await listed(client, **{"metadata.desk": "north", "status": "cancelled"}) == [b["id"]]
    assert await listed(client, **{"metadata.desk": "no' or true --"}) == []
    assert await listed(client, created_after=a["created_at"]) == [c["id"], b["id"]]
    assert await listed(client, created_before=c["created_at"], created_after=a["created_at"]) == [b["id"]]


async def test_pages_of_a_filter(client: httpx.AsyncClient, sample: bytes) -> None:
    """A cursor goes on where the page ended, also when that job has been deleted since."""
    made = [(await submit(client, sample, metadata='{"k": "v"}'))["id"] for _ in range(4)]
    seen: list[str] = []
    query: dict[str, str] = {"metadata.k": "v", "limit": "1"}
    while True:
        page: dict[str, Any] = (await client.get(JOBS, params=query)).json()
        seen += [job["id"] for job in page["jobs"]]
        await client.delete(f"{JOBS}/{seen[-1]}")
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == made[::-1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=done", "status"),
        ("created_after=yesterday", "created_after"),
        ("created_before=2026-01-01T00:00:00", "created_before"),
        ("limit=201", "limit"),
        ("limit=0", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=" + "A" * 32, "cursor"),
        ("cursor=_________________________________w==", "cursor"),
        ("state=queued", "state"),
        ("&".join(f"metadata.{i}=1" for i in range(11)), "metadata"),
    ],
)
async def test_filters_that_cannot_be_accepted(client: httpx.AsyncClient, query: str, field: str) -> None:
    """Each is a 422 that names it."""
    answer = await client.get(f"{JOBS}?{query}")
    if query == "cursor=" + "A" * 32:
        assert answer.json() == {"jobs": [], "next_cursor": None}  # a place before all jobs
        return
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_option", field)


async def test_audio(client: httpx.AsyncClient, store: Storage, sample: bytes) -> None:
    """The recording is one redirect away, under its name and without a key; once deleted it is gone."""
    job = (await client.post(JOBS, files={"file": ("Gespräch; 1.wav", sample)})).json()
    answer = await client.get(f"{JOBS}/{job['id']}/audio")
    assert (answer.status_code, answer.headers["cache-control"], answer.content) == (302, "no-store", b"")
    async with httpx.AsyncClient(timeout=90) as anybody:
        found = await anybody.get(answer.headers["location"])
    assert (found.status_code, found.content, found.headers["content-type"]) == (200, sample, "audio/wav")
    assert found.headers["content-disposition"] == "attachment; filename*=UTF-8''Gespr%C3%A4ch%3B%201.wav"
    await store.delete([f"audio/{job['id']}.source"])
    gone = await client.get(f"{JOBS}/{job['id']}/audio")
    assert (gone.status_code, gone.json()["code"]) == (410, "audio_deleted")


async def test_a_redacted_recording(client: httpx.AsyncClient, store: Storage, sample: bytes, database_url: str) -> None:
    """Where redaction was asked for, the copy is all that is ever shown; before it is there, nothing is."""
    files, options = {"file": ("Gespräch.wav", sample)}, {"redact": "phone,email"}
    job = (await client.post(JOBS, files=files, data=options)).json()
    url = f"{JOBS}/{job['id']}/audio"
    early = await client.get(url)
    assert (early.status_code, early.json()["code"], early.headers["retry-after"]) == (202, "not_ready", "2")
    await finish(database_url, store, job["id"], audio=b"redacted")
    answer = await client.get(url)
    async with httpx.AsyncClient(timeout=90) as anybody:
        found = await anybody.get(answer.headers["location"])
    assert (found.content, found.headers["content-type"]) == (b"redacted", "audio/mpeg")
    assert found.headers["content-disposition"] == "attachment; filename*=UTF-8''Gespr%C3%A4ch.redacted.mp3"
    cancelled = (await client.post(JOBS, files=files, data=options)).json()
    await client.post(f"{JOBS}/{cancelled['id']}/cancel")
    assert (await client.get(f"{JOBS}/{cancelled['id']}/audio")).status_code == 409


async def test_audio_by_the_host_that_clients_reach(service: Services, sample: bytes, database: asyncpg.Connection) -> None:
    """`S3_PUBLIC_ENDPOINT_URL` is where the link leads, and what it is signed for."""
    ingest = await service("ingest", S3_PUBLIC_ENDPOINT_URL="https://media.example.com")
    async with httpx.AsyncClient(base_url=ingest.url, timeout=90) as client:
        job = await submit(client, sample)
        location = (await client.get(f"{JOBS}/{job['id']}/audio")).headers["location"]
    assert location.startswith("https://media.example.com/")
    assert "X-Amz-Expires=300" in location
    assert "X-Amz-SignedHeaders=host" in location
