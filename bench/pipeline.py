"""`./run bench pipeline`: N copies of the sample through the whole system, against a bare WhisperX loop in the same run.

The two take turns, so that a machine whose speed drifts treats both alike; the ratio is that of the medians. The system does more than
the loop: it receives, stores, announces, times every word and stores the result. It decodes the next recording while the engine works.
"""

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench._sides import Bare, bare, work
from bench._system import System, report, running
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
        async with running("ingest", "transcriber") as system, bare(system) as loop:
            await _system(system, [path] * 2, align=True)
            await _bare(loop, [path] * 2, "pyannote")
            for _ in range(rounds):
                sides["whisperx"].append(await _bare(loop, [path] * copies, "pyannote"))
                sides["verbatim"].append(await _system(system, [path] * copies, align=True))
                sides["whisperx with silero"].append(await _bare(loop, [path] * copies, "silero"))
                sides["verbatim without word times"].append(await _system(system, [path] * copies, align=False))
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
        "pipeline",
        rows,
        {"settings": loop.settings, "copies": copies, "seconds": sides, "speeds": speeds, "ratio": ratio, "same_work": strict},
    )


async def _system(system: System, paths: list[Path], *, align: bool) -> float:
    """Seconds from the first submission to the last completion; every transcript is read and looked at."""
    done = await work(system, paths, [{"align": str(align).lower()}] * len(paths))
    assert all("Diane" in transcript.text for transcript in done.transcripts)
    return done.seconds


async def _bare(loop: Bare, paths: list[Path], vad: str) -> float:
    done = await loop.work(paths, vad=vad)
    assert all("Diane" in file["text"] for file in done["files"])
    return float(done["seconds"])
