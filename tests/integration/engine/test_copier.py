"""The copier's keeper: what it makes of a copy that is made, given up, or breaks whoever makes it."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import av
import psutil
import pytest

from common.errors import PermanentError, TransientError, VerbatimError
from common.transcript import Redaction
from services.transcriber.engine.copier.keeper import Copier
from tests.hostile.bombs import NO_MEMORY, packed_index
from tests.hostile.flac import flac

MEMORY = 2**28
HOURS = 6 * 3_600
MINUTE = 117 * 4_096 / 8_000
"""Seconds: whole blocks."""
COPIER = Copier(memory=MEMORY, seconds=60)


def kill(_fraction: float) -> None:
    """Whoever is copying."""
    for process in psutil.Process().children():
        if "services.transcriber.engine.copier" in process.cmdline():
            process.kill()


def cancel(_fraction: float) -> None:
    raise InterruptedError


def nothing(_fraction: float) -> None:
    """Goes on."""


def hours(folder: Path) -> Path:
    """What takes some seconds to copy."""
    path = folder / "hours"
    path.write_bytes(flac(HOURS, 8_000))
    return path


def test_a_copy_is_made(tmp_path: Path) -> None:
    """And it is told how far it is."""
    (tmp_path / "source").write_bytes(flac(MINUTE, 8_000, block=4_096))
    fractions: list[float] = []
    COPIER.copy(tmp_path / "source", tmp_path / "copy", [Redaction(1.0, 2.0, "phone")], MINUTE, fractions.append, language="en")
    with av.open(tmp_path / "copy") as copy:
        assert copy.duration == pytest.approx(MINUTE * 1e6, rel=0.01)
    assert fractions == sorted(fractions)
    assert fractions


@pytest.mark.parametrize(("progress", "error"), [(kill, TransientError), (cancel, InterruptedError)])
def test_a_copy_that_is_not_made(tmp_path: Path, progress: Callable[[float], None], error: type[Exception]) -> None:
    """Killed by somebody else, it may be made another time; given up, nobody goes on making it."""
    with pytest.raises(error):
        COPIER.copy(hours(tmp_path), tmp_path / "copy", [], HOURS, progress)
    assert not any("services.transcriber.engine.copier" in each.cmdline() for each in psutil.Process().children())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing bounds memory")
def test_a_recording_that_takes_too_much(tmp_path: Path) -> None:
    """Memory or time: the limits are the file's fault, and no process but the copier suffers."""
    (tmp_path / "bomb").write_bytes(packed_index())
    assert refused(COPIER, tmp_path / "bomb", 1.0) == NO_MEMORY
    assert refused(Copier(memory=MEMORY, seconds=0), hours(tmp_path), 0.1) == "time_limit"


def refused(copier: Copier, source: Path, seconds: float) -> str:
    with pytest.raises(PermanentError) as caught:
        copier.copy(source, source.with_name("copy"), [], seconds, nothing)
    error: VerbatimError = caught.value
    return error.code


def test_it_knows_nothing_that_it_need_not(tmp_path: Path) -> None:
    """Passwords and keys of the engine's environment are not in the copier's."""
    copier = Copier(memory=MEMORY, seconds=60, environ={**os.environ, "AWS_SECRET_ACCESS_KEY": "x"})
    environments: list[dict[str, str]] = []

    def look(_fraction: float) -> None:
        environments.extend(
            process.environ() for process in psutil.Process().children() if "services.transcriber" in str(process.cmdline())
        )

    (tmp_path / "source").write_bytes(flac(MINUTE, 8_000, block=4_096))
    copier.copy(tmp_path / "source", tmp_path / "copy", [], MINUTE, look)
    assert environments
    assert not any("AWS_SECRET_ACCESS_KEY" in environment for environment in environments)
