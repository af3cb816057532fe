"""OpenAI's client for Node against a real ingest."""

import asyncio
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import asyncpg

from common import space
from common.database import Pool
from common.space import Space
from common.storage import Storage
from services.ingest.auth import create_key
from services.ingest.openai.models import ALIASES
from tests.e2e.contracts.node import installed
from tests.recordings import wav
from tests.running import RunningService, Services, wait_until
from tests.transcribing import TALK, transcribing

_HERE = Path(__file__).parent


async def ran(folder: Path, program: str, *arguments: str) -> dict[str, list[Any]]:
    """What the program told, by name."""
    node = installed()
    node.lend(folder)
    (folder / program).write_text((_HERE / program).read_text())
    process = await asyncio.create_subprocess_exec(
        node.executable, program, *arguments, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    told = defaultdict(list)
    for line in output.decode().splitlines():
        name, value = json.loads(line)
        told[name].append(value)
    return told


async def test_all_that_it_can_ask_for(
    ingest: RunningService, pool: Pool, storage: Storage, sample: bytes, tmp_path: Path, database: asyncpg.Connection
) -> None:
    """Every format, granularities, translations, ways to give a file, streams, raw answers, models; with its timeout ends the job."""
    (tmp_path / "talk.wav").write_bytes(sample)
    async with transcribing(pool, storage):
        told = await ran(tmp_path, "official.mjs", ingest.url, "talk.wav")
    for prefix in ("", "translated "):
        assert told[f"{prefix}json"][0]["text"] == told[f"{prefix}verbose_json"][0]["text"] == TALK.text
        assert told[f"{prefix}text"] == [f"{TALK.text}\n"]
        assert told[f"{prefix}srt"][0].startswith("1\n")
        assert told[f"{prefix}vtt"][0].startswith("WEBVTT\n")
    assert [segment["speaker"] for segment in told["diarized_json"][0]["segments"]] == ["A", "B"]
    assert told["granularities"] == [[False, True], [True, False], [True, True]]
    assert told["ways"] == [TALK.text] * 3
    [plain], [diarized] = told["streamed json"], told["streamed diarized_json"]
    for events in (plain, diarized):
        assert "".join(event.get("delta", "") for event in events) == events[-1]["text"] == TALK.text
    assert [event["speaker"] for event in diarized if event["type"] == "transcript.text.segment"] == ["A", "B"]
    assert told["raw"] == [[200, True, TALK.text]]
    assert told["both"] == [[TALK.text, 200, 32]]
    assert (told["models"], told["model"]) == ([list(ALIASES)], ["whisper-1"])

    before = await database.fetchval("select count(*) from jobs")
    for milliseconds in ("500", "10000"):  # a busy machine may not have queued the job within the first
        hasty = await ran(tmp_path, "official.mjs", ingest.url, "talk.wav", milliseconds)
        assert hasty["timeout"] == ["APIConnectionTimeoutError"]
        if await database.fetchval("select count(*) from jobs") > before:
            break

    async def cancelled() -> bool:
        return bool(await database.fetchval("select count(*) from jobs where status = 'cancelled'"))

    await wait_until(cancelled, "the job to be cancelled")


async def test_what_it_raises(service: Services, sample: bytes, pool: Pool, tmp_path: Path, database: asyncpg.Connection) -> None:
    """Its class for each status, with code and parameter, also for what goes wrong in a stream; where it may come again, it does."""
    ingest = await service(
        "ingest",
        AUTH="on",
        SYNC_LIMIT_SECONDS="0.5",
        SYNC_QUIET_SECONDS="0.1",
        MAX_UPLOAD_BYTES="10000",
        MAX_QUEUED_JOBS="2",
        RATE_LIMIT_PER_MINUTE="60",
    )
    (tmp_path / "small.wav").write_bytes(wav(bytes(3_200)))
    (tmp_path / "large.wav").write_bytes(sample)
    keys = [await create_key(database, tenant="a", name="", scopes=scopes) for scopes in (("read", "write"), ("read",), ("write",))]
    told = await ran(tmp_path, "refused.mjs", ingest.url, "first", "small.wav", "large.wav", *keys)
    assert told == {
        "400": [["BadRequestError", 400, "invalid_option", "language"]],
        "401": [["AuthenticationError", 401, "invalid_api_key", None]],
        "403": [["PermissionDeniedError", 403, "forbidden", None]],
        "404": [["NotFoundError", 404, "model_not_found", "model"]],
        "413": [["APIError", 413, "too_large", None]],
        "504": [["InternalServerError", 504, "still_processing", None]],
        "streamed": [["APIError", None, "still_processing", None]],
        "429": [["RateLimitError", 429, "queue_full", None]],
    }
    async with pool.acquire() as connection:
        now = await connection.fetchval("select now()")
        await space.write(connection, Space(measured_at=now, objects=3, bytes=96, capacity=100, level="critical"), [])
    await pool.execute("update rate_limits set full_at = now() + interval '55 seconds'")
    later = await ran(tmp_path, "refused.mjs", ingest.url, "later", "small.wav", "large.wav", *keys)
    assert later == {
        "rate": [["RateLimitError", 429, "rate_limit_exceeded", None]],
        "again": [len(ALIASES)],
        "503": [["InternalServerError", 503, "storage_full", None]],
    }
