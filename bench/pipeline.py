"""`./run bench pipeline`: N copies of the sample through the whole system, against a bare WhisperX loop in the same run.

The two take turns, so that a machine whose speed drifts treats both alike; the ratio is that of the medians. The system does more than
the loop: it receives, stores, announces, times every word and stores the result. It decodes the next recording while the engine works.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec

from bench._system import System, report, running
from common.transcript import Transcript
from tests.recordings import sample

_SECONDS = 30.0
_WANTED = 0.95


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="./run bench pipeline")
    parser.add_argument("--copies", type=int, default=20, help="recordings per round (default 20, 30 s each)")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    asyncio.run(_run(options.copies, options.rounds))


async def _run(copies: int, rounds: int) -> None:
    sides: dict[str, list[float]] = {"verbatim": [], "verbatim without word times": [], "whisperx": [], "whisperx with silero": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sample.wav")
        await asyncio.to_thread(path.write_bytes, sample())
        async with running("ingest", "transcriber") as system:
            bare = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bench._bare_whisperx", str(path), stdin=PIPE, stdout=PIPE, env=system.environment
            )
            try:
                settings = await _answer(bare)
                await _system(system, 2, align=True)
                await _bare(bare, 2, "pyannote")
                for _ in range(rounds):
                    sides["whisperx"].append((await _bare(bare, copies, "pyannote"))["seconds"])
                    sides["verbatim"].append(await _system(system, copies, align=True))
                    sides["whisperx with silero"].append((await _bare(bare, copies, "silero"))["seconds"])
                    sides["verbatim without word times"].append(await _system(system, copies, align=False))
            finally:
                bare.terminate()
                await bare.wait()
    speeds = {name: copies * _SECONDS / statistics.median(seconds) for name, seconds in sides.items()}
    ratio = speeds["verbatim"] / speeds["whisperx"]
    strict = speeds["verbatim without word times"] / speeds["whisperx with silero"]
    rows = [
        ("audio seconds per second", "measured", "wanted"),
        *((name, f"{speed:.1f}", "") for name, speed in speeds.items()),
        ("verbatim / whisperx", f"{ratio:.2f}", f">= {_WANTED}"),
        ("the same work on both sides: without word times / with silero", f"{strict:.2f}", ""),
    ]
    report(
        "pipeline", rows, {"settings": settings, "copies": copies, "seconds": sides, "speeds": speeds, "ratio": ratio, "same_work": strict}
    )


async def _system(system: System, copies: int, *, align: bool) -> float:
    """Seconds from the first submission to the last completion; every transcript is read and looked at."""
    async with httpx.AsyncClient(base_url=system.url("ingest"), timeout=120) as client:
        began = time.perf_counter()
        ids = []
        for _ in range(copies):
            answer = await client.post("/api/v1/jobs", files={"file": ("a.wav", sample())}, data={"align": str(align).lower()})
            ids.append(answer.raise_for_status().json()["id"])
        waiting = set(ids)
        while waiting:
            job = (await client.get(f"/api/v1/jobs/{min(waiting)}", params={"wait": 60})).json()
            assert job["status"] != "failed", job
            if job["status"] == "completed":
                waiting.discard(job["id"])
        seconds = time.perf_counter() - began
        for job_id in ids:
            answer = await client.get(f"/api/v1/jobs/{job_id}/transcript")
            assert "Diane" in msgspec.json.decode(answer.content, type=Transcript).text
    return seconds


async def _bare(process: Process, copies: int, vad: str) -> dict[str, Any]:
    assert process.stdin is not None
    process.stdin.write(f"{copies} {vad}\n".encode())
    figures = await _answer(process)
    assert "Diane" in figures["text"]
    return figures


async def _answer(process: Process) -> dict[str, Any]:
    assert process.stdout is not None
    while line := await process.stdout.readline():
        if line.startswith(b"{"):
            found: dict[str, Any] = json.loads(line)
            return found
    raise RuntimeError("the bare loop has died; its output is above")
