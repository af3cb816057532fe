"""The two sides of a comparison, asked for the same work in turns: the whole system over HTTP, and WhisperX by itself."""

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

from bench._system import System
from common.transcript import Transcript


class Work(msgspec.Struct, frozen=True):
    """`seconds` from the first file handed over to the last result, and the results in the files' order."""

    seconds: float
    transcripts: list[Transcript]


class Bare:
    """`bench._bare_whisperx`, running; `settings` are those it works with."""

    def __init__(self, process: Process, settings: dict[str, Any]) -> None:
        self._process, self.settings = process, settings

    async def work(self, paths: Sequence[Path], **request: Any) -> dict[str, Any]:
        """Its answer: `seconds`, and for each of `files` its `text` and `turns`."""
        assert self._process.stdin is not None
        line = {"paths": [str(path) for path in paths], **request}
        self._process.stdin.write(msgspec.json.encode(line) + b"\n")
        return await _answer(self._process)


@asynccontextmanager
async def bare(system: System) -> AsyncIterator[Bare]:
    """Started, with its models loaded, in the environment of the system's services."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench._bare_whisperx", stdin=PIPE, stdout=PIPE, env=system.environment, limit=2**24
    )
    try:
        yield Bare(process, await _answer(process))
    finally:
        process.terminate()
        await process.wait()


async def work(system: System, paths: Sequence[Path], options: Sequence[dict[str, str]]) -> Work:
    """Submit all files, each with its options, wait for all, then read every transcript."""
    async with httpx.AsyncClient(base_url=system.url("ingest"), timeout=120) as client:
        began = time.perf_counter()
        ids = []
        for path, chosen in zip(paths, options, strict=True):
            with path.open("rb") as file:
                answer = await client.post("/api/v1/jobs", files={"file": (path.name, file)}, data=chosen)
            ids.append(answer.raise_for_status().json()["id"])
        waiting = set(ids)
        while waiting:
            job = (await client.get(f"/api/v1/jobs/{min(waiting)}", params={"wait": 60})).json()
            assert job["status"] != "failed", job
            if job["status"] == "completed":
                waiting.discard(job["id"])
        seconds = time.perf_counter() - began
        answers = [await client.get(f"/api/v1/jobs/{job_id}/transcript") for job_id in ids]
    return Work(seconds, [msgspec.json.decode(answer.content, type=Transcript) for answer in answers])


async def _answer(process: Process) -> dict[str, Any]:
    assert process.stdout is not None
    while line := await process.stdout.readline():
        if line.startswith(b"{"):
            found: dict[str, Any] = json.loads(line)
            return found
    raise RuntimeError("the bare loop has died; its output is above")
