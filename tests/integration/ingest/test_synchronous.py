"""Calls that wait for their job: what they survive, when they end, and what becomes of the job when the client does not wait."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

import asyncpg
import httpx
import openai
import pytest
from openai import AsyncOpenAI, AsyncStream
from openai.types.audio import TranscriptionStreamEvent

from common.database import Pool
from common.jobs import partials, upkeep
from common.jobs.job import Failure, Job
from common.jobs.partials import PartialSegment
from common.storage import Storage
from tests.integration.ingest.test_openai import client_of, recording
from tests.jobs import LOST, claimed
from tests.recordings import wav
from tests.running import RunningService, Services, wait_until
from tests.transcribing import TALK, transcribing

HEAR = "/v1/audio/transcriptions"
BROKE = Failure("engine_broke", "The engine broke.", retryable=True)


async def jobs(database: asyncpg.Connection) -> list[str]:
    """The status of each."""
    return [row["status"] for row in await database.fetch("select status from jobs order by id")]


async def until_jobs(database: asyncpg.Connection, *statuses: str) -> None:
    async def there() -> bool:
        return await jobs(database) == list(statuses)

    await wait_until(there, f"jobs that are {statuses}")


async def test_a_client_that_hangs_up(ingest: RunningService, pool: Pool, storage: Storage, database: asyncpg.Connection) -> None:
    """Its job is cancelled, each time it tries; with an Idempotency-Key the job goes on, and who comes back gets what came of it."""
    file, key = recording(wav(bytes(3_200))), {"Idempotency-Key": "k"}
    async with client_of(ingest) as client:
        for before in range(2):
            await hung_up(database, before, client.audio.transcriptions.create(file=file, model="whisper-1"))
        await until_jobs(database, "cancelled", "cancelled")
        await hung_up(database, 2, client.audio.transcriptions.create(file=file, model="whisper-1", stream=True))
        await until_jobs(database, *["cancelled"] * 3)

        await hung_up(database, 3, client.audio.transcriptions.create(file=file, model="whisper-1", extra_headers=key))
        await wait_until(lambda: ingest.log.count("client hung up") == 4, "the server to notice")
        assert await jobs(database) == [*["cancelled"] * 3, "queued"]
        async with transcribing(pool, storage):
            heard = await client.audio.transcriptions.create(file=file, model="whisper-1", extra_headers=key)
        assert heard.text == TALK.text
        assert len(await jobs(database)) == 4


async def hung_up(database: asyncpg.Connection, before: int, asking: Coroutine[Any, Any, Any], *, locked: bool = False) -> None:
    """Ask, and hang up as soon as there is one job more than before; while it is `locked`, who tries to change it loses its connection."""
    call = asyncio.create_task(asking)

    async def there() -> bool:
        return len(await jobs(database)) > before

    await wait_until(there, "the job")
    async with database.transaction():
        if locked:
            await database.execute("select from jobs for update")
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        if locked:
            await wait_until(lambda: cut_off(database), "the server to try")


async def cut_off(database: asyncpg.Connection) -> bool:
    """Whether a connection of ingest's waited for a lock; it does no more."""
    waits = "application_name = 'verbatim-ingest' and wait_event_type = 'Lock' and datname = current_database()"
    return bool(await database.fetch(f"select pg_terminate_backend(pid) from pg_stat_activity where {waits}"))  # noqa: S608 - our own words


async def test_a_worker_that_dies_and_a_database_that_goes(
    ingest: RunningService, pool: Pool, storage: Storage, sample: bytes, database: asyncpg.Connection
) -> None:
    """The call notices neither that its worker stopped nor that every connection to Postgres was cut: it gets its answer."""
    async with client_of(ingest) as client:
        call = asyncio.create_task(client.audio.transcriptions.create(file=recording(sample), model="whisper-1"))
        await until_jobs(database, "queued")
        async with pool.acquire() as connection:
            await claimed(connection, LOST)
            await upkeep.rescue(connection, limit=10)
        await database.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = any($1) and datname = current_database()",
            ["verbatim-ingest", "verbatim-listen"],
        )
        async with transcribing(pool, storage):
            assert (await call).text == TALK.text
    assert await database.fetchval("select attempt from jobs") == 2


async def test_hanging_up_while_the_database_is_away(ingest: RunningService, sample: bytes, database: asyncpg.Connection) -> None:
    """The job is cancelled once the database is back."""
    async with client_of(ingest) as client:
        await hung_up(database, 0, client.audio.transcriptions.create(file=recording(sample), model="whisper-1"), locked=True)
    await until_jobs(database, "cancelled")
    assert "dependency away" in ingest.log


async def test_a_call_that_lasts_too_long(
    service: Services, pool: Pool, storage: Storage, sample: bytes, database: asyncpg.Connection
) -> None:
    """It is told the job's id, by a status as long as there is one, and the job goes on; the client does not begin again.

    A call that waits for a zip has no more time for it than what its job leaves, and one that waits for a janitor no more than any other.
    """
    ingest = await service("ingest", SYNC_LIMIT_SECONDS="1", SYNC_QUIET_SECONDS="0.1")
    async with client_of(ingest, retries=2) as client:
        hear, file = client.audio.transcriptions, recording(sample)
        with pytest.raises(openai.InternalServerError) as late:
            await hear.create(file=file, model="whisper-1", response_format="text")
        assert (late.value.status_code, late.value.code) == (504, "still_processing")
        job_id = await database.fetchval("select id::text from jobs")
        assert late.value.body["job_id"] == job_id  # type: ignore[index]
        assert late.value.response.headers["location"] == f"/api/v1/jobs/{job_id}"
        with pytest.raises(openai.APIError) as streamed:
            _ = [event async for event in await hear.create(file=file, model="whisper-1", stream=True)]
        assert streamed.value.code == "still_processing"
        padded = await hear.with_raw_response.create(file=file, model="whisper-1")
        error = padded.http_response.json()["error"]
        assert (padded.status_code, error["code"]) == (200, "still_processing")
        assert error["job_id"] == padded.headers["verbatim-job-id"]
    assert await jobs(database) == ["queued"] * 3
    async with httpx.AsyncClient(base_url=ingest.url, timeout=60) as plain, transcribing(pool, storage):
        zipped = await plain.post("/transcribe", files={"audio_file": recording(sample)}, data={"split_audio": "true"})
        cleaned = await plain.post("/admin/cleanup")
        await until_jobs(database, *["completed"] * 4)
    assert (zipped.status_code, zipped.json()["code"]) == (504, "still_processing")
    assert (cleaned.status_code, cleaned.json()["code"]) == (503, "no_janitor")


async def chunks(ingest: RunningService, sample: bytes, path: str = HEAR, **fields: str) -> AsyncGenerator[bytes, None]:
    """A call's answer as it arrives."""
    async with (
        httpx.AsyncClient(base_url=ingest.url, timeout=60) as client,
        client.stream("POST", path, files={"file": recording(sample)}, data=fields) as answer,
    ):
        assert answer.status_code == 200
        async for chunk in answer.aiter_bytes():
            yield chunk


async def test_bytes_flow(service: Services, pool: Pool, storage: Storage, sample: bytes) -> None:
    """White space before JSON and comments in a stream; what fails after that says so in the body, in the words of whose path it is."""
    ingest = await service("ingest", SYNC_QUIET_SECONDS="0.1")

    async with contextlib.aclosing(chunks(ingest, sample)) as padded:
        assert await anext(padded) == b" "
        async with transcribing(pool, storage):
            rest = b"".join([chunk async for chunk in padded])
        assert httpx.Response(200, content=b" " + rest).json()["text"] == TALK.text

    async with contextlib.aclosing(chunks(ingest, sample, stream="true")) as comments:
        assert await anext(comments) == b": still here\r\n\r\n"
        async with transcribing(pool, storage, lambda _job: BROKE):
            rest = b"".join([chunk async for chunk in comments])
        assert b'"engine_broke"' in rest

    for path in (HEAR, "/transcribe", "/process-audio"):
        async with contextlib.aclosing(chunks(ingest, sample, path)) as late:
            assert await anext(late) == b" "
            async with transcribing(pool, storage, lambda _job: BROKE):
                rest = b"".join([chunk async for chunk in late])
        told = httpx.Response(200, content=rest).json()
        if path == HEAR:
            assert (told["error"]["code"], told["error"]["message"]) == ("engine_broke", "The engine broke.")
        else:
            assert (told["detail"], told["code"]) == ("The engine broke.", "engine_broke")


async def begun(
    client: AsyncOpenAI, pool: Pool, sample: bytes, *heard: PartialSegment, **asked: Any
) -> AsyncStream[TranscriptionStreamEvent]:
    """A stream whose job has been claimed, and in which these segments have been heard."""
    call = asyncio.create_task(client.audio.transcriptions.create(file=recording(sample), model="whisper-1", stream=True, **asked))
    async with pool.acquire() as connection:

        async def told() -> bool:
            for job_id in await connection.fetch("select id from jobs where status = 'queued'"):
                for payload in partials.payloads(job_id["id"], heard):
                    await connection.execute("select pg_notify($1, $2)", partials.CHANNEL, payload)
            return call.done()

        await wait_until(told, "the first delta")
    stream: AsyncStream[TranscriptionStreamEvent] = await call
    return stream


async def test_a_stream(ingest: RunningService, pool: Pool, storage: Storage, sample: bytes) -> None:
    """Text as it is heard, never back in time; then what had not been told, each segment with its speaker, and the whole."""
    heard = [
        PartialSegment(start=6.7, end=11.7, text="Hello this is Diana."),
        PartialSegment(start=2.0, end=4.0, text="Too late."),
    ]
    async with client_of(ingest) as client:
        for response_format in ("json", "diarized_json"):
            stream = await begun(client, pool, sample, *heard, response_format=response_format)
            async with transcribing(pool, storage):
                events = [event async for event in stream]
            deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
            assert deltas == ["Hello this is Diana.", " Hello Diane."]
            told = [event.speaker for event in events if event.type == "transcript.text.segment"]
            assert told == (["A", "B"] if response_format == "diarized_json" else [])
            assert events[-1].type == "transcript.text.done"
            assert (events[-1].text, [language.code for language in events[-1].languages or ()]) == (TALK.text, ["en"])


async def test_a_stream_that_breaks(ingest: RunningService, pool: Pool, storage: Storage, sample: bytes) -> None:
    """A failure after the first delta is raised by the client."""
    heard = PartialSegment(start=6.7, end=11.7, text="Hello this is Diana.")
    async with client_of(ingest) as client:

        def broke(_job: Job) -> Failure:
            return BROKE

        stream = await begun(client, pool, sample, heard)
        async with transcribing(pool, storage, broke):
            with pytest.raises(openai.APIError) as failed:
                _ = [event async for event in stream]
        assert failed.value.code == "engine_broke"


@pytest.mark.parametrize("quiet", ["0.01", "25"], ids=["begun", "not begun"])
async def test_a_server_that_stops(service: Services, sample: bytes, database: asyncpg.Connection, quiet: str) -> None:
    """Who waits is told the job's id before connections are cut, whether or not the answer has begun; the jobs go on."""
    ingest = await service("ingest", DRAIN_SECONDS="5.5", SYNC_QUIET_SECONDS=quiet)
    asked: list[tuple[str, str, dict[str, str], dict[str, str]]] = [
        (HEAR, "file", {}, {"Idempotency-Key": "k"}),
        (HEAR, "file", {"response_format": "text"}, {}),
        (HEAR, "file", {"stream": "true"}, {}),
        ("/transcribe", "file", {}, {}),
        ("/transcribe", "audio_file", {"split_audio": "true"}, {}),
    ]
    async with httpx.AsyncClient(base_url=ingest.url, timeout=60) as client:
        calls = [
            asyncio.create_task(client.post(path, files={field: recording(sample)}, data=fields, headers=headers))
            for path, field, fields, headers in asked
        ]
        await until_jobs(database, *["queued"] * len(asked))
        ingest.terminate()
        answers = await asyncio.gather(*calls)
    assert await ingest.gone() == 0
    ids = [str(row["id"]) for row in await database.fetch("select id from jobs where status = 'queued'")]
    for answer in answers:
        assert '"restarting"' in answer.text
        assert [job_id for job_id in ids if job_id in answer.text]
    unbegun = [answer for answer in answers if answer.status_code == 503]
    assert len(unbegun) == (2 if quiet == "0.01" else len(asked))
    assert all(answer.headers["retry-after"] == "5" for answer in unbegun)
    if len(unbegun) == len(asked):
        assert [answer.headers.get("x-should-retry") for answer in answers] == ["true", "false", "false", None, None]
