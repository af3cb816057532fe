"""The engine's keeper: what it makes of a child that works, fails, dies, hangs or talks nonsense."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

import msgspec
import psutil
import pytest

from common.errors import PermanentError, TransientError
from common.jobs.partials import PartialSegment
from deploy.local.service import REPOSITORY
from services.transcriber.child import COMMAND, LET_GO_SECONDS, Engine, EngineUnusable
from services.transcriber.limits import Limits
from services.transcriber.protocol import Decoded, Done, Options, Progress, Stage, StageDone, Transcribe
from tests.recordings import sample
from tests.running import standstill, wait_until
from tests.scripted_engine import WAIT_SECONDS

SCRIPTED = (sys.executable, "-m", "tests.scripted_engine")
LIMITS = Limits(job=timedelta(seconds=60))


@asynccontextmanager
async def running(
    command: tuple[str, ...] = SCRIPTED, limits: Limits = LIMITS, let_go_seconds: float = LET_GO_SECONDS, start_seconds: float = 60
) -> AsyncIterator[Engine]:
    """A keeper whose child is ready."""
    models = {"VERBATIM_MODEL_DIR": str(REPOSITORY / ".verbatim" / "models")}
    engine = Engine(limits=limits, command=command, environ=os.environ | models, let_go_seconds=let_go_seconds, start_seconds=start_seconds)
    task = asyncio.create_task(engine.run())
    try:
        await asyncio.wait_for(engine.ready.wait(), 240)
        yield engine
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def request(folder: Path, name: str, prompt: str | None = None, content: bytes = b"sound") -> Transcribe:
    source = folder / name
    source.write_bytes(content)
    return Transcribe(name, str(source), str(folder / f"{name}.json"), Options(prompt=prompt), sha256=name)


def children() -> list[psutil.Process]:
    """The scripted engines that run for this process."""
    alive = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in alive if SCRIPTED[-1] in child.cmdline()]


def gone(child: psutil.Process) -> bool:
    """It may go between two looks at it."""
    try:
        return child.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def ignore(_told: Progress | Decoded) -> None:
    """Progress that nobody looks at."""


@pytest.mark.parametrize("command", [SCRIPTED, COMMAND], ids=["scripted", "real"])
async def test_contract(command: tuple[str, ...], tmp_path: Path) -> None:
    """Scripted or real: requests are answered, a bad one fails with its code, and the next one is answered again."""
    told: list[Progress | Decoded] = []
    heard = list[PartialSegment]()
    async with running(command) as engine:
        first = asyncio.create_task(engine.transcribe(request(tmp_path, "a", content=sample()), told.append, on_partial=heard.append))
        bad = asyncio.create_task(engine.transcribe(request(tmp_path, "b", content=b""), ignore))
        last = asyncio.create_task(engine.transcribe(request(tmp_path, "c", content=sample()), ignore))
        done, stages = await first
        with pytest.raises(PermanentError) as failure:
            await bad
        again, _ = await last
    assert (done.id, done.language, round(done.duration)) == ("a", "en", 30)
    assert again.id == "c"
    assert failure.value.code == "empty_audio"
    assert "transcribe" in [stage.stage for stage in stages]
    assert all(stage.start_ns <= stage.end_ns for stage in stages)
    percents = [one.percent for one in told if isinstance(one, Progress)]
    assert percents == sorted(percents)
    assert percents
    assert [one.id for one in told if isinstance(one, Decoded)] == ["a"]
    assert heard
    assert all(0 <= segment.start < segment.end <= 30 and segment.text for segment in heard)
    assert (tmp_path / "a.json").stat().st_size


async def test_death_fails_only_who_was_on_the_engine(tmp_path: Path) -> None:
    """The request that was being worked on fails as transient; one that waited is done by the next child."""
    async with running() as engine:
        fatal = asyncio.create_task(engine.transcribe(request(tmp_path, "a", "die"), ignore))
        waiting = asyncio.create_task(engine.transcribe(request(tmp_path, "b"), ignore))
        with pytest.raises(TransientError) as failure:
            await fatal
        done, _ = await waiting
    assert failure.value.code == "engine_died"
    assert done.id == "b"


@pytest.mark.parametrize("how", ["die", "break"])
async def test_an_engine_that_dies_of_everything_is_given_up(tmp_path: Path, how: str) -> None:
    """Its device is broken, whether it can say so or not. The service ends, and what it had claimed goes to others."""
    engine = Engine(limits=LIMITS, command=SCRIPTED)
    keeper = asyncio.create_task(engine.run())
    for name in "abc":
        with pytest.raises(TransientError):
            await asyncio.wait_for(engine.transcribe(request(tmp_path, name, how), ignore), 60)
    with pytest.raises(EngineUnusable):
        await asyncio.wait_for(keeper, 60)


async def test_an_engine_that_does_some_work_in_between_is_not(tmp_path: Path) -> None:
    """Nor is one that always dies of the same recording: those may be at fault."""
    async with running() as engine:
        for name, how in [("a", "die"), ("b", "break"), ("b", "die"), ("c", None), ("d", "die")]:
            with nullcontext() if how is None else pytest.raises(TransientError):
                await asyncio.wait_for(engine.transcribe(request(tmp_path, name, how), ignore), 60)
        done, _ = await asyncio.wait_for(engine.transcribe(request(tmp_path, "e"), ignore), 60)
    assert done.id == "e"


async def test_a_child_that_says_that_its_device_failed_blames_nobody_else(tmp_path: Path) -> None:
    """Who waits goes to the next one, however often that happens."""
    async with running() as engine:
        broken = [asyncio.create_task(engine.transcribe(request(tmp_path, name, "break"), ignore)) for name in "ab"]
        waiting = asyncio.create_task(engine.transcribe(request(tmp_path, "c"), ignore))
        failures = await asyncio.gather(*broken, return_exceptions=True)
        done, _ = await asyncio.wait_for(waiting, 60)
    assert [failure.code for failure in failures if isinstance(failure, TransientError)] == ["device_failed"] * 2
    assert done.id == "c"


async def test_a_child_that_hangs_while_it_starts_is_ended(tmp_path: Path) -> None:
    """Not the first one, which may have models to fetch."""
    mark = tmp_path / "started"
    hangs_second = f"""
import pathlib, runpy, time
mark = pathlib.Path({str(mark)!r})
starts = len(mark.read_text()) if mark.exists() else 0
mark.write_text("x" * (starts + 1))
if starts == 1:
    time.sleep(600)
runpy.run_module("tests.scripted_engine", run_name="__main__")
"""
    async with running((sys.executable, "-c", hangs_second), start_seconds=1) as engine:
        with pytest.raises(TransientError):
            await asyncio.wait_for(engine.transcribe(request(tmp_path, "a", "die"), ignore), 60)
        done, _ = await asyncio.wait_for(engine.transcribe(request(tmp_path, "b"), ignore), 60)
    assert (done.id, len(mark.read_text())) == ("b", 3)


async def test_of_several_on_the_engine_only_the_fatal_one_fails(tmp_path: Path) -> None:
    """Which of them killed the child nobody can tell at first: each is tried once more, alone, and no other attempt is spent."""
    async with running() as engine:
        good = [asyncio.create_task(engine.transcribe(request(tmp_path, name, "join"), ignore)) for name in "ab"]
        await asyncio.sleep(0)  # let them be sent
        fatal = asyncio.create_task(engine.transcribe(request(tmp_path, "c", "die"), ignore))
        with pytest.raises(TransientError) as failure:
            await asyncio.wait_for(fatal, 60)
        answers = await asyncio.wait_for(asyncio.gather(*good), 60)
    assert failure.value.code == "engine_died"
    assert [done.id for done, _ in answers] == ["a", "b"]


async def test_time_limit_kills_the_child(tmp_path: Path) -> None:
    """A request over the time limit fails for good, and the engine is there again for the next one."""
    async with running(limits=Limits(job=timedelta(seconds=0.5))) as engine:
        with pytest.raises(PermanentError) as failure:
            await engine.transcribe(request(tmp_path, "a", "hang"), ignore)
        done, _ = await asyncio.wait_for(engine.transcribe(request(tmp_path, "b"), ignore), 60)
    assert failure.value.code == "time_limit"
    assert done.id == "b"


async def test_waiting_for_another_is_nobodys_time(tmp_path: Path) -> None:
    """Neither the job's limit nor its stage's counts until the next stage; from there on what is left of them does."""
    entered: list[Stage] = []

    def note(told: Progress | Decoded) -> None:
        if isinstance(told, Progress):
            entered.append(told.stage)

    limits = Limits(job=timedelta(seconds=WAIT_SECONDS / 2), stage=timedelta(seconds=WAIT_SECONDS / 2))
    async with running(limits=limits) as engine:
        with pytest.raises(PermanentError, match="time_limit"):
            await asyncio.wait_for(engine.transcribe(request(tmp_path, "a", "wait and hang"), note), 60)
    assert entered == ["transcribe", "diarize"]


@pytest.mark.parametrize("stage", ["decode", "diarize"])
async def test_a_stage_that_hangs_is_stopped_at_its_own_limit(stage: Stage, tmp_path: Path) -> None:
    """Only a decoder's hanging is the file's fault, else trying again may help. The engine is there for the next one."""
    limits = Limits(
        job=timedelta(seconds=60),
        decode=timedelta(seconds=0.3 if stage == "decode" else 60),
        stage=timedelta(seconds=60 if stage == "decode" else 0.3),
    )
    async with running(limits=limits) as engine:
        with pytest.raises(PermanentError if stage == "decode" else TransientError) as failure:
            await asyncio.wait_for(engine.transcribe(request(tmp_path, "a", stage), ignore), 60)
        done, _ = await asyncio.wait_for(engine.transcribe(request(tmp_path, "b"), ignore), 60)
    assert failure.value.code == "time_limit"
    assert done.id == "b"


async def test_memory_limit_kills_the_child(tmp_path: Path) -> None:
    """A child that grows too large while it works is stopped; idle ones are left alone, whatever they occupy."""
    async with running(limits=Limits(job=timedelta(seconds=60), memory=2**20)) as engine:
        with pytest.raises(TransientError) as failure:
            await asyncio.wait_for(engine.transcribe(request(tmp_path, "a", "hang"), ignore), 60)
        done, _ = await asyncio.wait_for(engine.transcribe(request(tmp_path, "b"), ignore), 60)
    assert failure.value.code == "memory_limit"
    assert done.id == "b"


async def test_a_stage_that_takes_too_much_memory_is_stopped_at_its_own_limit(tmp_path: Path) -> None:
    """Stages without one go on, whatever they occupy; the error names the stage."""
    entered: list[Stage] = []

    def note(told: Progress | Decoded) -> None:
        if isinstance(told, Progress):
            entered.append(told.stage)

    async with running(limits=Limits(job=timedelta(seconds=60), stage_memory={"diarize": 2**20})) as engine:
        with pytest.raises(TransientError, match="memory_limit: The stage 'diarize' took more memory than the limit of 1 MB"):
            await asyncio.wait_for(engine.transcribe(request(tmp_path, "a", "wait and hang"), note), 60)
    assert entered == ["transcribe", "diarize"]


async def test_memory_of_several_is_held_against_none(tmp_path: Path) -> None:
    """Whose it is nobody can tell: each is tried once more, alone, and who then takes too much is told."""
    async with running(limits=Limits(job=timedelta(seconds=60), stage_memory={"diarize": 2**20})) as engine:
        sharing = asyncio.create_task(engine.transcribe(request(tmp_path, "a", "join"), ignore))
        await asyncio.sleep(0)  # let it be sent
        with pytest.raises(TransientError, match="memory_limit"):
            await asyncio.wait_for(engine.transcribe(request(tmp_path, "b", "diarize"), ignore), 60)
        done, _ = await asyncio.wait_for(sharing, 60)
    assert done.id == "a"


async def test_a_hearing_of_several_that_hangs_is_held_against_none(tmp_path: Path) -> None:
    """The clock of one of them runs out first, which says nothing: each is tried once more, alone, and who then hangs is told."""
    async with running(limits=Limits(job=timedelta(seconds=60), stage=timedelta(seconds=0.3))) as engine:
        sharing = asyncio.create_task(engine.transcribe(request(tmp_path, "a", "hear together"), ignore))
        await asyncio.sleep(0)  # let it be sent
        with pytest.raises(TransientError, match="time_limit"):
            await asyncio.wait_for(engine.transcribe(request(tmp_path, "b", "transcribe"), ignore), 60)
        done, _ = await asyncio.wait_for(sharing, 60)
    assert done.id == "a"


async def test_a_kill_costs_only_the_one_that_it_is_for(tmp_path: Path) -> None:
    """What shared the engine with a request that hangs is done by the next child."""
    async with running(limits=Limits(job=timedelta(seconds=60), stage=timedelta(seconds=0.3))) as engine:
        sharing = asyncio.create_task(engine.transcribe(request(tmp_path, "a", "share"), ignore))
        await asyncio.sleep(0)  # let it be sent
        with pytest.raises(TransientError, match="time_limit"):
            await asyncio.wait_for(engine.transcribe(request(tmp_path, "b", "diarize"), ignore), 60)
        done, _ = await asyncio.wait_for(sharing, 60)
    assert done.id == "a"


@pytest.mark.parametrize("stage", ["decode", "vad", "transcribe", "align", "diarize", "postprocess", "redact"])
async def test_cancelling_ends_any_stage_within_two_seconds(stage: Stage, tmp_path: Path) -> None:
    """A child that does not let go by itself in one of them is gone, and the next one takes over at once.

    The two others are the attempt's own (`test_attempt.py`).
    """
    async with running() as engine, standstill() as excused:
        started = asyncio.Event()
        hanging = asyncio.create_task(engine.transcribe(request(tmp_path, "a", stage), lambda _: started.set()))
        await asyncio.wait_for(started.wait(), 60)
        (child,) = children()
        stood = excused()
        hanging.cancel()
        cancelled = time.monotonic()
        await wait_until(lambda: gone(child), "the child to be gone")
        assert time.monotonic() - cancelled <= 2 + excused() - stood
        done, _ = await asyncio.wait_for(engine.transcribe(request(tmp_path, "b"), ignore), 60)
    assert done.id == "b"


async def test_a_child_that_lets_go_lives_on(tmp_path: Path) -> None:
    """A cancelled request costs no restart when the engine can leave it."""
    async with running(let_go_seconds=60) as engine:
        started = asyncio.Event()
        cancelled = asyncio.create_task(engine.transcribe(request(tmp_path, "a", "let go"), lambda _: started.set()))
        await asyncio.wait_for(started.wait(), 60)
        before = children()
        cancelled.cancel()
        done, _ = await asyncio.wait_for(engine.transcribe(request(tmp_path, "b"), ignore), 60)
        assert children() == before
    assert done.id == "b"


async def test_one_of_several_that_is_cancelled_costs_the_others_nothing(tmp_path: Path) -> None:
    """It is answered in the midst of what is heard together, and that goes on, in the same child."""
    enough = tmp_path / "enough"
    heard = {name: asyncio.Event() for name in ("first", "a", "b", "last")}

    def sent(name: str, *, alone: bool = False) -> asyncio.Task[tuple[Done, list[StageDone]]]:
        def note(told: Progress | Decoded) -> None:
            if isinstance(told, Progress) and told.stage == "transcribe":
                heard[name].set()

        asked = msgspec.structs.replace(request(tmp_path, name), alone=alone)
        return asyncio.create_task(engine.transcribe(asked, note))

    async with running((sys.executable, "-m", "tests.scripted_choir", str(enough)), let_go_seconds=60) as engine:
        tasks = [sent("first", alone=True), sent("a"), sent("b"), sent("last", alone=True)]
        await asyncio.wait_for(asyncio.gather(heard["a"].wait(), heard["b"].wait()), 60)
        assert engine._process is not None
        before = engine._process.pid
        tasks[1].cancel()
        await wait_until(lambda: "a" not in engine._works, "the cancelled one to be answered")
        enough.touch()
        done, stages = await asyncio.wait_for(tasks[2], 60)
        await asyncio.wait_for(tasks[3], 60)
        assert engine._process.pid == before
    assert done.id == "b"
    assert [(stage.stage, stage.together) for stage in stages if stage.stage == "transcribe"] == [("transcribe", 2)]
    assert (tmp_path / "b.json").stat().st_size


async def test_checkpoints_are_told_as_they_are_written(tmp_path: Path) -> None:
    """Who asked for them hears of each before the answer."""
    told: list[Stage] = []
    async with running() as engine:
        await engine.transcribe(msgspec.structs.replace(request(tmp_path, "a"), checkpoints=str(tmp_path)), ignore, told.append)
    assert told == ["transcribe"]


async def test_cancelling_frees_the_engine(tmp_path: Path) -> None:
    """Who stops waiting for a request that hangs frees the engine for the next one."""
    async with running() as engine:
        started = asyncio.Event()
        hanging = asyncio.create_task(engine.transcribe(request(tmp_path, "a", "hang"), lambda _: started.set()))
        await asyncio.sleep(0)  # let it be sent
        next_one = asyncio.create_task(engine.transcribe(request(tmp_path, "b"), ignore))
        hanging.cancel()
        done, _ = await asyncio.wait_for(next_one, 60)
    assert done.id == "b"


async def test_transient_failure_keeps_its_type(tmp_path: Path) -> None:
    """What the child calls transient is transient to the worker."""
    async with running() as engine:
        with pytest.raises(TransientError, match="stumbled"):
            await engine.transcribe(request(tmp_path, "a", "stumble"), ignore)


@pytest.mark.parametrize("nonsense", ["nonsense", "babble"])
async def test_nonsense_ends_the_child(nonsense: str, tmp_path: Path) -> None:
    """A child that breaks the protocol is replaced, and its request fails as transient: also for a line that does not end."""
    async with running() as engine:
        with pytest.raises(TransientError, match="engine_died"):
            await engine.transcribe(request(tmp_path, "a", nonsense), ignore)
        done, _ = await asyncio.wait_for(engine.transcribe(request(tmp_path, "b"), ignore), 60)
    assert done.id == "b"


async def test_no_child_outlives_its_keeper() -> None:
    """Also one that is cancelled again while it waits for the child's end."""
    engine = Engine(limits=LIMITS, command=SCRIPTED)
    keeper = asyncio.create_task(engine.run())
    await asyncio.wait_for(engine.ready.wait(), 240)
    keeper.cancel()
    await asyncio.sleep(0)  # it kills the child
    keeper.cancel()
    await asyncio.gather(keeper, return_exceptions=True)
    assert engine._process is not None
    assert engine._process.returncode is not None


async def test_child_that_never_gets_ready() -> None:
    """After several starts in vain the keeper gives up, which stops the service with a reason in its log."""
    engine = Engine(limits=LIMITS, command=(sys.executable, "-c", "raise SystemExit(3)"))
    with pytest.raises(EngineUnusable):
        await asyncio.wait_for(engine.run(), 120)
