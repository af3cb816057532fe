"""OpenAI's client for Node against a real ingest."""

import asyncio
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import asyncpg

from common.database import Pool
from common.storage import Storage
from services.ingest.openai.models import ALIASES
from tests.e2e.contracts.node import installed
from tests.running import RunningService, wait_until
from tests.transcribing import TALK, transcribing

_PROGRAM = Path(__file__).with_name("official.mjs")


async def ran(folder: Path, *arguments: str) -> dict[str, list[Any]]:
    """What the program told, by name."""
    node = installed()
    node.lend(folder)
    (folder / _PROGRAM.name).write_text(_PROGRAM.read_text())
    process = await asyncio.create_subprocess_exec(
        node.executable, _PROGRAM.name, *arguments, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
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
    """Every format, granularities, translation, stream, raw answer, models, its errors; when its timeout ends, the job is cancelled."""
    (tmp_path / "talk.wav").write_bytes(sample)
    async with transcribing(pool, storage):
        told = await ran(tmp_path, ingest.url, "talk.wav")
    assert told["json"][0]["text"] == told["translation"][0]["text"] == TALK.text
    assert told["text"] == [f"{TALK.text}\n"]
    assert told["srt"][0].startswith("1\n")
    assert told["vtt"][0].startswith("WEBVTT\n")
    assert ("segments" in told["verbose_json"][0], "words" in told["verbose_json"][0]) == (True, False)
    assert [segment["speaker"] for segment in told["diarized_json"][0]["segments"]] == ["A", "B"]
    assert told["words"][0]["words"][0]["word"] == "Hello,"
    [events] = told["stream"]
    assert "".join(event.get("delta", "") for event in events) == events[-1]["text"] == TALK.text
    assert told["raw"] == [[200, True]]
    assert told["models"] == [list(ALIASES)]
    assert told["error"] == [
        ["NotFoundError", 404, "model_not_found", "model"],
        ["BadRequestError", 400, "invalid_option", "language"],
    ]

    assert (await ran(tmp_path, ingest.url, "talk.wav", "hasty"))["timeout"] == ["APIConnectionTimeoutError"]

    async def cancelled() -> bool:
        return bool(await database.fetchval("select count(*) from jobs where status = 'cancelled'"))

    await wait_until(cancelled, "the job to be cancelled")
