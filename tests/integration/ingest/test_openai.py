"""OpenAI's own client against a real ingest: every format, every way to send a file, every exception it knows."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import asyncpg
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from common import space
from common.database import Pool
from common.jobs.job import Failure, Job
from common.space import Space
from common.storage import Storage
from common.transcript import Transcript
from services.ingest.auth import create_key
from services.ingest.openai.models import ALIASES
from tests.running import RunningService, Services, wait_until
from tests.transcribing import TALK, transcribing

GRANULARITIES: tuple[tuple[Literal["word", "segment"], ...], ...] = (("segment",), ("word",), ("word", "segment"))


@pytest.fixture
async def official(ingest: RunningService) -> AsyncIterator[AsyncOpenAI]:
    """The official client, which shows a key though nobody asks for one."""
    async with client_of(ingest) as client:
        yield client


def client_of(ingest: RunningService, key: str = "sk-anything", retries: int = 0) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{ingest.url}/v1", api_key=key, max_retries=retries)


def recording(sample: bytes) -> tuple[str, bytes]:
    return "talk.wav", sample


async def test_every_format_and_way_to_give_a_file(
    official: AsyncOpenAI, pool: Pool, storage: Storage, sample: bytes, tmp_path: Path
) -> None:
    """Each `response_format` and granularity comes as the client's type for it, or as text; a file may be a path, bytes, or open."""
    file, hear = recording(sample), official.audio.transcriptions
    async with transcribing(pool, storage):
        plain = await hear.create(file=file, model="whisper-1")
        assert plain.text == TALK.text
        assert plain.languages is not None
        assert [language.code for language in plain.languages] == ["en"]
        assert plain.usage is not None
        assert plain.usage.to_dict() == {"type": "duration", "seconds": 30}
        assert await hear.create(file=file, model="whisper-1", response_format="text") == f"{TALK.text}\n"
        srt = await hear.create(file=file, model="whisper-1", response_format="srt")
        assert srt.startswith("1\n00:00:06,700 --> ")
        vtt = await hear.create(file=file, model="whisper-1", response_format="vtt")
        assert vtt.startswith("WEBVTT\n\n00:00:06.700 --> ")

        verbose = await hear.create(file=file, model="whisper-1", response_format="verbose_json")
        assert (verbose.language, verbose.duration, verbose.words) == ("english", 30.0, None)
        assert verbose.segments is not None
        assert "".join(segment.text for segment in verbose.segments) == f" {TALK.text}"
        for granularities in GRANULARITIES:
            timed = await hear.create(
                file=file, model="whisper-1", response_format="verbose_json", timestamp_granularities=list(granularities)
            )
            assert (timed.words is not None, timed.segments is not None) == ("word" in granularities, "segment" in granularities)
            assert not timed.words or (timed.words[0].word, timed.words[0].start, timed.words[0].end) == ("Hello,", 6.7, 7.1)
        diarized = await hear.create(
            file=file, model="gpt-4o-transcribe-diarize", response_format="diarized_json", chunking_strategy="auto"
        )
        assert [(segment.speaker, segment.text, segment.start) for segment in diarized.segments] == [
            ("A", "Hello, this is Diane.", 6.7),
            ("B", "Hello Diane.", 12.0),
        ]
        sure = await hear.create(file=file, model="gpt-4o-transcribe", include=["logprobs"])
        assert sure.logprobs is not None
        assert [(each.token, bytes(map(int, each.bytes or ()))) for each in sure.logprobs] == [(" Hello,", b" Hello,")]

        path = tmp_path / "talk.wav"
        path.write_bytes(sample)
        for way in (path, sample, io.BytesIO(sample), ("talk.wav", sample, "audio/wav")):
            assert (await hear.create(file=way, model="whisper-1")).text == TALK.text
        async with hear.with_streaming_response.create(file=file, model="whisper-1") as slowly:
            assert (await slowly.parse()).text == TALK.text

        def waiting() -> str:
            with OpenAI(base_url=official.base_url, api_key="x") as blocking, path.open("rb") as opened:
                return blocking.audio.transcriptions.create(file=opened, model="whisper-1").text

        assert await asyncio.to_thread(waiting) == TALK.text


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # as OpenAI has announced the end of whisper-1
async def test_what_is_asked_for_reaches_the_job(
    official: AsyncOpenAI, pool: Pool, storage: Storage, sample: bytes, database: asyncpg.Connection
) -> None:
    """OpenAI's names become options of a normal job, native ones may be given beside them; translations are in English, in each format."""
    async with transcribing(pool, storage):
        answer = await official.audio.transcriptions.with_raw_response.create(
            file=recording(sample),
            model="gpt-transcribe",
            prompt="p" * 3_000,
            temperature=0.4,
            keywords=["Diane", "Sheila"],
            languages=["en", "de"],
            chunking_strategy={"type": "server_vad", "threshold": 0.4, "silence_duration_ms": 700, "prefix_padding_ms": 300},
            extra_body={"priority": "high", "metadata": '{"desk": "3"}'},
        )
        assert answer.parse().text == TALK.text
        assert len(answer.headers["x-request-id"]) == 32
        options = json.loads(await database.fetchval("select options from jobs where id = $1", answer.headers["verbatim-job-id"]))
        assert options == {
            "prompt": "p" * 2_000,
            "temperature": 0.4,
            "hotwords": "Diane, Sheila",
            "allowed_languages": ["en", "de"],
            "vad_threshold": 0.4,
            "vad_min_silence": 0.7,
            "vad_padding": 0.3,
            "priority": "high",
            "metadata": {"desk": "3"},
        }
        file, translate = recording(sample), official.audio.translations
        assert (await translate.create(file=file, model="whisper-1")).text == TALK.text
        verbose = await translate.create(file=file, model="whisper-1", response_format="verbose_json")
        assert (verbose.language, verbose.text) == ("english", TALK.text)
        assert await translate.create(file=file, model="whisper-1", response_format="text") == f"{TALK.text}\n"
        assert (await translate.create(file=file, model="whisper-1", response_format="srt")).startswith("1\n00:00:06,700 --> ")
        assert (await translate.create(file=file, model="whisper-1", response_format="vtt")).startswith("WEBVTT\n\n00:00:06.700 --> ")
    assert await database.fetchval("select count(*) from jobs where options->>'task' = 'translate'") == 5
    with pytest.raises(openai.BadRequestError):
        await translate.create(file=file, model="whisper-1", response_format="diarized_json")  # type: ignore[call-overload]


async def test_what_is_wrong_with_a_request(official: AsyncOpenAI, sample: bytes, database: asyncpg.Connection) -> None:
    """The client raises what it raises there, with the parameter's name; nothing is left behind."""
    hear, file = official.audio.transcriptions, recording(sample)
    asked: dict[str, dict[str, object]] = {
        "language": {"language": "klingon"},
        "temperature": {"temperature": 3},
        "response_format": {"response_format": "docx"},
        "timestamp_granularities": {"timestamp_granularities": ["word"]},
        "include": {"include": ["logprobs"], "response_format": "text"},
        "stream": {"stream": True, "response_format": "srt"},
        "known_speaker_names": {"known_speaker_names": ["Diane"]},
        "chunking_strategy": {"chunking_strategy": {"type": "server_vad", "threshold": "loud"}},
        "tempo": {"extra_body": {"tempo": "fast"}},
        "file": {"file": ("notes.txt", b"these are notes, and no recording at all")},
    }
    for param, wrong in asked.items():
        with pytest.raises(openai.BadRequestError) as caught:
            await hear.create(**{"file": file, "model": "whisper-1", **wrong})  # type: ignore[call-overload]
        assert (caught.value.param, caught.value.type) == (param, "invalid_request_error"), param
    with pytest.raises(openai.NotFoundError) as unknown:
        await hear.create(file=file, model="whisper-9")
    assert unknown.value.code == "model_not_found"
    assert await database.fetchval("select count(*) from jobs") == 0


async def test_keys_models_and_sizes(service: Services, sample: bytes, database: asyncpg.Connection) -> None:
    """401 without a good key, 403 for one that may only read, 413 for what is too large; models by OpenAI's names and by their own."""
    ingest = await service("ingest", AUTH="on", MAX_UPLOAD_BYTES="10000", WHISPER_MODELS="base,hub/large-v3")
    keys = {scope: await create_key(database, tenant="a", name="", scopes=(scope,)) for scope in ("read", "write")}
    kinds = {"sk-wrong": openai.AuthenticationError, keys["read"]: openai.PermissionDeniedError, keys["write"]: openai.APIStatusError}
    for key, kind in kinds.items():
        async with client_of(ingest, key) as client:
            with pytest.raises(kind) as caught:
                await client.audio.transcriptions.create(file=recording(sample), model="whisper-1")
        assert isinstance(caught.value, openai.APIStatusError)
        assert caught.value.type == "invalid_request_error"
    assert (caught.value.status_code, caught.value.code) == (413, "too_large")

    async with client_of(ingest, keys["read"]) as client:
        names = [model.id async for model in client.models.list()]
        assert names == [*ALIASES, "base", "hub/large-v3"]
        for name in ("whisper-1", "hub/large-v3"):
            assert (await client.models.retrieve(name)).id == name
        with pytest.raises(openai.NotFoundError) as unknown:
            await client.models.retrieve("gpt-5")
        assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")


async def test_who_must_wait(service: Services, sample: bytes, pool: Pool) -> None:
    """429 and 503 say when to come again, and the client comes again by itself."""
    ingest = await service("ingest", MAX_QUEUED_JOBS="1", SYNC_LIMIT_SECONDS="0.1", RATE_LIMIT_PER_MINUTE="60")
    async with client_of(ingest) as client:
        with pytest.raises(openai.InternalServerError):
            await client.audio.transcriptions.create(file=recording(sample), model="whisper-1")
        with pytest.raises(openai.RateLimitError) as full:
            await client.audio.transcriptions.create(file=recording(sample), model="whisper-1")
        assert (full.value.code, full.value.type) == ("queue_full", "rate_limit_error")
        assert int(full.value.response.headers["retry-after"]) > 0
        async with pool.acquire() as connection:
            now = await connection.fetchval("select now()")
            await space.write(connection, Space(measured_at=now, objects=3, bytes=96, capacity=100, level="critical"), [])
        with pytest.raises(openai.InternalServerError) as nearly_full:
            await client.audio.transcriptions.create(file=recording(sample), model="whisper-1")
        assert (nearly_full.value.status_code, nearly_full.value.code) == (503, "storage_full")
        assert int(nearly_full.value.response.headers["retry-after"]) > 0

        async def came_again() -> bool:
            await pool.execute("update rate_limits set full_at = now() + interval '60 seconds'")
            answer = await client.with_options(max_retries=1).models.with_raw_response.list()
            assert answer.status_code == 200
            return answer.retries_taken == 1  # or there was a token again before it came

        await wait_until(came_again, "the client to be told to come again")


async def test_a_job_that_fails(
    official: AsyncOpenAI, ingest: RunningService, pool: Pool, storage: Storage, sample: bytes, database: asyncpg.Connection
) -> None:
    """A recording's own fault is a bad request, ours a server error; either tells the job, and neither is tried again by the client."""
    reasons = {
        True: Failure("engine_broke", "The engine broke.", retryable=True),
        False: Failure("empty_audio", "It is empty.", retryable=False),
    }

    def fail(job: Job) -> Transcript | Failure:
        return reasons[job.options.prompt == "try"]

    async with transcribing(pool, storage, fail), client_of(ingest, retries=2) as client:
        with pytest.raises(openai.BadRequestError) as theirs:
            await client.audio.transcriptions.create(file=recording(sample), model="whisper-1")
        assert (theirs.value.code, theirs.value.body["message"]) == ("empty_audio", "It is empty.")  # type: ignore[index]
        with pytest.raises(openai.InternalServerError) as ours:
            await client.audio.transcriptions.create(file=recording(sample), model="whisper-1", prompt="try")
        assert (ours.value.code, ours.value.type) == ("engine_broke", "server_error")
        with pytest.raises(openai.BadRequestError) as streamed:
            await client.audio.transcriptions.create(file=recording(sample), model="whisper-1", stream=True)
        assert streamed.value.code == "empty_audio"
    told = {str(caught.value.body["job_id"]) for caught in (theirs, ours, streamed)}  # type: ignore[index]
    assert told == {str(row["id"]) for row in await database.fetch("select id from jobs")}
