"""`./run bench engine`: the transcriber against bare WhisperX, with the same model, batch, threads and weights, in one run.

Speed (long recordings, the same with word times and speakers, many short clips), what it costs in accuracy, how soon the engine is there
and how soon it lets go, and its memory over a long recording. Parts can be left out by naming others: `--only long,clips`. Figures are
medians of the rounds that the table names: short parts take three, long ones one.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import msgspec
import psutil

from bench import _judges as judges
from bench._accuracy import compare
from bench._own_turns import own_turns
from bench._prompts import clips, recordings
from bench._sides import Bare, Work, bare, work
from bench._system import System, report, running
from services.transcriber import protocol
from services.transcriber.child import Engine
from services.transcriber.limits import Limits
from tests.recordings import sample, turns, wav

_PARTS = ("long", "full", "clips", "child", "memory")
_MINUTES = 5
_PIECES = (0, 10, 20)
_MIB = 2**20
_GLANCE_SECONDS = 0.1
_RESTING_PERCENT = 20
"""Of one core."""

Row = tuple[str, str, str]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="./run bench engine")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(_PARTS), help=f"some of {','.join(_PARTS)}")
    parser.add_argument("--files", type=int, default=10, help="recordings of 5 min, transcription only (default 10)")
    parser.add_argument("--full-files", type=int, default=2, help="recordings of 5 min with words aligned and speakers told apart")
    parser.add_argument("--clips", type=int, default=64, help="short recordings, in five languages; more of them tell more about accuracy")
    itself = "also what WhisperX hears in the clips with the other detector, whose cuts begin 30 ms earlier: how far chance goes"
    parser.add_argument("--against-itself", action="store_true", help=itself)
    parser.add_argument("--rounds", type=int, default=3, help="of the clips and the child")
    parser.add_argument("--long-rounds", type=int, default=1, help="of the recordings of 5 min")
    parser.add_argument("--hours", type=float, default=3, help="the long recording of the memory part")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_run(options, Path(folder)))


async def _run(options: argparse.Namespace, folder: Path) -> None:
    rows: list[Row] = [(f"base, {os.cpu_count()} cores", "measured", "wanted")]
    figures: dict[str, Any] = {}
    async with running("ingest", "transcriber") as system:
        if {"long", "full", "clips"} & set(options.only):
            async with bare(system) as loop:
                figures["settings"] = loop.settings
                if "long" in options.only:
                    rows += await _long(system, loop, folder, options.files, options.long_rounds, figures)
                if "full" in options.only:
                    rows += await _full(system, loop, folder, options.full_files, options.long_rounds, figures)
                if "clips" in options.only:
                    rows += await _clips(system, loop, folder, options, figures)
        if "memory" in options.only:
            rows += await _memory(system, folder, options.hours, figures)
        environment = system.environment
    if "child" in options.only:
        rows += await _child(folder, environment, options.rounds, figures)
    report("engine", rows, figures)


async def _long(system: System, loop: Bare, folder: Path, files: int, rounds: int, figures: dict[str, Any]) -> list[Row]:
    """Transcription only: prompts in a row, or, where there are none, one conversation over and over."""
    paths = await asyncio.to_thread(recordings, files, _MINUTES * 60, folder)
    what = "prompts in five languages" if paths else "one conversation"
    paths = paths or [_conversation(folder, _MINUTES * 2)] * files
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append((await loop.work(paths))["seconds"])
        ours.append((await work(system, paths, [{"align": "false"}] * files)).seconds)
    ratio = statistics.median(theirs) / statistics.median(ours)
    figures["long"] = {"files": files, "what": what, "seconds": ours, "bare_seconds": theirs, "ratio": ratio}
    return [(f"{files} x {_MINUTES} min of {what}, transcription only: speed / bare{_of(rounds)}", f"{ratio:.2f}", ">= 1.05")]


async def _full(system: System, loop: Bare, folder: Path, files: int, rounds: int, figures: dict[str, Any]) -> list[Row]:
    """Words aligned, speakers told apart; the sample itself first, which also loads what both sides load late.

    It is what the recordings are made of: of no other conversation here is it known who speaks when.
    """
    one = _conversation(folder, 1)
    wanted = {"diarize": "true"}
    bare_sample = (await loop.work([one], full=True))["files"][0]
    [own_sample] = (await work(system, [one], [wanted])).transcripts
    paths = [_conversation(folder, _MINUTES * 2)] * files
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append((await loop.work(paths, full=True))["seconds"])
        ours.append((await work(system, paths, [wanted] * files)).seconds)
    ratio = statistics.median(theirs) / statistics.median(ours)
    truth = " ".join(text for _, text in judges.sample_lines())
    errors: dict[str, Any] = {
        "wer": judges.word_error_rate([judges.word_errors(truth, own_sample.text, "en")]),
        "bare_wer": judges.word_error_rate([judges.word_errors(truth, bare_sample["text"], "en")]),
        "der": judges.diarization_error_rate(turns(), await own_turns(one, system.environment)),
        "bare_der": judges.diarization_error_rate(turns(), [(start, end, speaker) for start, end, speaker in bare_sample["turns"]]),
        "starts": judges.starts(own_sample)._asdict(),
    }
    figures["full"] = {"files": files, "seconds": ours, "bare_seconds": theirs, "ratio": ratio, **errors}
    return [
        (f"{files} x {_MINUTES} min of one conversation, word times and speakers: speed / bare{_of(rounds)}", f"{ratio:.2f}", ">= 1.5"),
        ("sample, word error rate, per cent: ours - bare", _difference(errors["wer"], errors["bare_wer"]), "<= 0.1"),
        ("sample, diarization error rate, per cent: ours - bare", _difference(errors["der"], errors["bare_der"]), "<= 0.1"),
        ("sample, first words of lines, median start error, ms", str(judges.starts(own_sample)), "<= 80"),
    ]


async def _clips(system: System, loop: Bare, folder: Path, options: argparse.Namespace, figures: dict[str, Any]) -> list[Row]:
    """Many short recordings at once, each of its own language, against one by one; transcription only."""
    chosen = await asyncio.to_thread(clips, options.clips, folder)
    if not chosen:
        return [(f"{options.clips} clips of 5 s", "not measured: no apt-get to fetch them with", ">= 3")]
    paths, languages = [clip.path for clip in chosen], [clip.language for clip in chosen]
    asked = [{"language": language, "align": "false"} for language in languages]
    await work(system, paths[:2], asked[:2])
    ours: list[Work] = []
    theirs: list[dict[str, Any]] = []
    for _ in range(options.rounds):
        theirs.append(await loop.work(paths, languages=languages))
        ours.append(await work(system, paths, asked))
    seconds, bare_seconds = [each.seconds for each in ours], [each["seconds"] for each in theirs]
    ratio = statistics.median(bare_seconds) / statistics.median(seconds)
    texts, bare_texts = [transcript.text for transcript in ours[0].transcripts], _texts(theirs[0])
    compared = {"ours": compare(chosen, texts, bare_texts)}
    if options.against_itself:
        shifted = _texts(await loop.work(paths, languages=languages, vad="silero"))
        compared["bare, with the other detector"] = compare(chosen, shifted, bare_texts)
    differences = [
        {"language": clip.language, "said": clip.text, "ours": text, "bare": bare_text}
        for clip, text, bare_text in zip(chosen, texts, bare_texts, strict=True)
        if text.strip() != bare_text.strip()
    ]
    figures["clips"] = {"clips": len(chosen), "seconds": seconds, "bare_seconds": bare_seconds, "ratio": ratio}
    figures["clips"] |= {"word_error_rates": msgspec.to_builtins(compared), "differences": differences}
    lengths = [clip.seconds for clip in chosen]
    return [
        (
            f"{len(chosen)} clips of {min(lengths):.1f} to {max(lengths):.1f} s: speed / bare one by one{_of(options.rounds)}",
            f"{ratio:.2f}",
            ">= 3",
        ),
        *(
            (f"the clips in {language}, word error rate: {side} - bare", str(found), "<= 0.3" if side == "ours" else "")
            for side, by_language in compared.items()
            for language, found in by_language.items()
        ),
    ]


async def _memory(system: System, folder: Path, hours: float, figures: dict[str, Any]) -> list[Row]:
    """Half a minute of conversation every three minutes; then twenty jobs, of which the short ones are heard together."""
    parent = system.process("transcriber")
    path = folder / "long.wav"
    await asyncio.to_thread(_write_long, path, hours)
    async with _Family(parent) as long:
        took = (await work(system, [path], [{"diarize": "true"}])).seconds
    one = _conversation(folder, 1)
    short = [_piece(folder, start) for start in _PIECES]
    after: list[float] = []
    for _ in range(4):
        for paths, options in [([one], {"diarize": "true"}), ([one], {"diarize": "true"}), (short, {"align": "false"})]:
            await work(system, paths, [options] * len(paths))
            after.append(_resident(parent) / _MIB)
    growth = statistics.median(after[-3:]) - statistics.median(after[:3])
    figures["memory"] = {"hours": hours, "seconds": took, "peak_mib": long.peak / _MIB, "after_each_mib": after}
    return [
        (f"{hours:g} h recording, parent + child, peak RSS, MiB", f"{long.peak / _MIB:.0f}", "<= 3815 (4 GB)"),
        ("growth over the 20 jobs that follow, 12 of them short and three at once, MiB", f"{growth:.0f}", "0"),
    ]


async def _child(folder: Path, environment: dict[str, str], rounds: int, figures: dict[str, Any]) -> list[Row]:
    """A child of our own: from its start to ready, and from a cancel in the middle until it rests, and until it is at the next one."""
    starts, rests, following, ended = [], [], [], []
    for _ in range(rounds):
        engine = Engine(limits=Limits(job=timedelta(hours=1)), environ=environment)
        began = time.perf_counter()
        running_engine = asyncio.create_task(engine.run())
        await engine.ready.wait()
        starts.append(time.perf_counter() - began)
        child = engine._process  # noqa: SLF001 - nobody else wants to know what becomes of a child
        rests.append(await _until_it_rests(engine, folder))
        following.append(await _until_the_next(engine, folder))
        ended.append(engine._process is not child)  # noqa: SLF001
        running_engine.cancel()
        await asyncio.gather(running_engine, return_exceptions=True)
    figures["child"] = {"start_seconds": starts, "rest_seconds": rests, "next_seconds": following, "children_ended": sum(ended)}
    return [
        (f"child, from start to ready, s{_of(rounds)}", f"{statistics.median(starts):.1f}", "<= 8"),
        (f"cancelled while transcribing: until the child rests, s{_of(rounds)}", f"{statistics.median(rests):.2f}", "<= 2"),
        (
            f"and until the next one is taken up, s{_of(rounds)}",
            f"{statistics.median(following):.2f} ({sum(ended)} of {rounds} by a new child)",
            "<= 2",
        ),
    ]


async def _until_it_rests(engine: Engine, folder: Path) -> float:
    """Seconds from a cancel until the child uses no processor any more, or is gone."""
    assert engine._process is not None  # noqa: SLF001
    child = psutil.Process(engine._process.pid)  # noqa: SLF001
    job = await _being_heard(engine, _request("one", folder))
    began = time.perf_counter()
    await _cancelled(job)
    with contextlib.suppress(psutil.NoSuchProcess):
        child.cpu_percent()
        while child.is_running():
            await asyncio.sleep(_GLANCE_SECONDS)
            if child.cpu_percent() < _RESTING_PERCENT:
                break
    return time.perf_counter() - began


async def _until_the_next(engine: Engine, folder: Path) -> float:
    """Seconds from a cancel until another request, which waits, is taken up, by this child or a new one."""
    other = _request("other", folder)
    job = await _being_heard(engine, _request("one", folder))
    following = asyncio.create_task(engine.transcribe(other, lambda _progress: None))
    began = time.perf_counter()
    await _cancelled(job)
    await _until(lambda: engine._works[other.id].started)  # noqa: SLF001
    taken_up = time.perf_counter() - began
    await _cancelled(following)
    return taken_up


async def _being_heard(engine: Engine, request: protocol.Transcribe) -> asyncio.Task[Any]:
    """Returns when its first batch is begun, which is when a cancel takes longest."""
    heard = asyncio.Event()

    def on_progress(progress: protocol.Progress | protocol.Decoded) -> None:
        if isinstance(progress, protocol.Progress) and progress.stage == "transcribe":
            heard.set()

    job = asyncio.create_task(engine.transcribe(request, on_progress))
    await heard.wait()
    return job


async def _cancelled(job: asyncio.Task[Any]) -> None:
    job.cancel()
    await asyncio.gather(job, return_exceptions=True)


def _request(name: str, folder: Path) -> protocol.Transcribe:
    path = _conversation(folder, _MINUTES * 2)
    return protocol.Transcribe(name, str(path), str(folder / name), protocol.Options())


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - there is nothing to wait for but the time at which it does
        await asyncio.sleep(0.01)


class _Family:
    """The largest sum of resident sets of a process and its children, while the block runs; shared pages count twice."""

    def __init__(self, parent: psutil.Process) -> None:
        self._parent, self.peak = parent, 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._sample())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _sample(self) -> None:
        while True:
            self.peak = max(self.peak, _resident(self._parent))
            await asyncio.sleep(0.1)


def _resident(parent: psutil.Process) -> int:
    return sum(process.memory_info().rss for process in (parent, *parent.children(recursive=True)))


def _conversation(folder: Path, copies: int) -> Path:
    path = folder / f"sample-{copies}.wav"
    if not path.exists():
        path.write_bytes(sample(copies))
    return path


def _piece(folder: Path, start: int) -> Path:
    """Some seconds of it, which are heard together with other short ones."""
    path = folder / f"piece-{start}.wav"
    path.write_bytes(wav(sample()[44:][start * 32_000 : (start + 8) * 32_000]))
    return path


def _write_long(path: Path, hours: float) -> None:
    frames = sample()[44:]
    silence = bytes(150 * 32_000)
    path.write_bytes(wav((frames + silence) * round(hours * 20)))


def _texts(answer: dict[str, Any]) -> list[str]:
    return [file["text"] for file in answer["files"]]


def _of(rounds: int) -> str:
    return f" (median of {rounds})" if rounds > 1 else " (one round)"


def _difference(ours: float, bare_one: float) -> str:
    return f"{ours - bare_one:+.1f} ({ours:.1f} - {bare_one:.1f})"
