"""The engine's keeper: what it makes of a child that works, fails, dies, hangs or talks nonsense."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from common.errors import PermanentError, TransientError
from deploy.local.service import REPOSITORY
from services.transcriber.child import COMMAND, Engine, EngineUnusable
from services.transcriber.protocol import Options, Progress, Transcribe
from tests.recordings import sample

SCRIPTED = (sys.executable, "-m", "tests.scripted_engine")


@asynccontextmanager
async def running(command: tuple[str, ...] = SCRIPTED, limit: float = 60) -> AsyncIterator[Engine]:
    """A keeper whose child is ready."""
    models = {"VERBATIM_MODEL_DIR": str(REPOSITORY / ".verbatim" / "models")}
    engine = Engine(time_limit=timedelta(seconds=limit), command=command, environ=os.environ | models)
    task = asyncio.create_task(engine.run())
    try:
        await asyncio.wait_for(engine.ready.wait(), 120)
        yield engine
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def request(folder: Path, name: str, prompt: str | None = None, content: bytes = b"sound") -> Transcribe:
    source = folder / name
    source.write_bytes(content)
    return Transcribe(name, str(source), str(folder / f"{name}.json"), Options(prompt=prompt))


def ignore(_progress: Progress) -> None:
    """Progress that nobody looks at."""


@pytest.mark.parametrize("command", [SCRIPTED, COMMAND], ids=["scripted", "real"])
async def test_contract(command: tuple[str, ...], tmp_path: Path) -> None:
    """Scripted or real: requests are answered, a bad one fails with its code, and the next one is answered again."""
    progress: list[Progress] = []
    async with running(command) as engine:
        first = asyncio.create_task(engine.transcribe(request(tmp_path, "a", content=sample()), progress.append))
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
    percents = [report.percent for report in progress]
    assert percents == sorted(percents)
    assert percents
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


async def test_time_limit_kills_the_child(tmp_path: Path) -> None:
    """A request over the time limit fails for good, and the engine is there again for the next one."""
    async with running(limit=0.5) as engine:
        with pytest.raises(PermanentError) as failure:
            await engine.transcribe(request(tmp_path, "a", "hang"), ignore)
        done, _ = await asyncio.wait_for(engine.transcribe(request(tmp_path, "b"), ignore), 20)
    assert failure.value.code == "time_limit"
    assert done.id == "b"


async def test_cancelling_frees_the_engine(tmp_path: Path) -> None:
    """Who stops waiting for a request that hangs frees the engine for the next one."""
    async with running() as engine:
        started = asyncio.Event()
        hanging = asyncio.create_task(engine.transcribe(request(tmp_path, "a", "hang"), lambda _: started.set()))
        await asyncio.sleep(0)  # let it be sent
        next_one = asyncio.create_task(engine.transcribe(request(tmp_path, "b"), ignore))
        hanging.cancel()
        done, _ = await asyncio.wait_for(next_one, 20)
    assert done.id == "b"


async def test_transient_failure_keeps_its_type(tmp_path: Path) -> None:
    """What the child calls transient is transient to the worker."""
    async with running() as engine:
        with pytest.raises(TransientError, match="stumbled"):
            await engine.transcribe(request(tmp_path, "a", "stumble"), ignore)


async def test_nonsense_ends_the_child(tmp_path: Path) -> None:
    """A child that breaks the protocol is replaced, and its request fails as transient."""
    async with running() as engine:
        with pytest.raises(TransientError, match="engine_died"):
            await engine.transcribe(request(tmp_path, "a", "nonsense"), ignore)
        done, _ = await asyncio.wait_for(engine.transcribe(request(tmp_path, "b"), ignore), 20)
    assert done.id == "b"


async def test_child_that_never_gets_ready() -> None:
    """After several starts in vain the keeper gives up, which stops the service with a reason in its log."""
    engine = Engine(time_limit=timedelta(seconds=1), command=(sys.executable, "-c", "raise SystemExit(3)"))
    with pytest.raises(EngineUnusable):
        await asyncio.wait_for(engine.run(), 30)
