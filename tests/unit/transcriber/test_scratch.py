"""What is on the disk while recordings are worked on, and after that."""

import asyncio
import errno
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import TransientError
from services.transcriber.scratch import scratch, workplace
from tests.running import wait_until

_WRITES = """
import pathlib, sys, time
end = time.monotonic() + 1
while time.monotonic() < end:
    try:
        pathlib.Path(sys.argv[1]).touch()
    except FileNotFoundError:
        pass
"""

_KILLED = """
import os, pathlib, signal, sys
from services.transcriber.scratch import scratch
with scratch(pathlib.Path(sys.argv[1])) as folder:
    (folder / "recording").write_bytes(b"sound")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_takes_away_what_a_killed_one_left(tmp_path: Path) -> None:
    """Its recordings do not stay; those of a process that lives do, and so does what is not ours."""
    (tmp_path / "verbatim-notes").mkdir()
    with scratch(tmp_path) as living:
        subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path)], check=False)
        assert len(list(tmp_path.glob("verbatim-*/recording"))) == 1
        with scratch(tmp_path) as other:
            assert sorted(tmp_path.glob("verbatim-*")) == sorted([living, other, tmp_path / "verbatim-notes"])
        assert living.is_dir()
    assert sorted(tmp_path.glob("verbatim-*")) == [tmp_path / "verbatim-notes"]


async def test_a_disk_that_refuses_is_no_fault_of_the_recording(tmp_path: Path) -> None:
    """It is told with its reason, as what may pass; the folder is gone like any other."""
    with pytest.raises(TransientError, match=r"scratch_failed: .*No space left on device"):
        await _fill(tmp_path)
    assert left_in(tmp_path) == []
    with pytest.raises(TransientError, match="scratch_failed"):
        await _fill(tmp_path / "unmounted")


async def test_what_is_still_written_while_it_is_put_away_goes_too(tmp_path: Path) -> None:
    """The engine that nobody waits for any more has a moment to notice."""
    async with workplace(tmp_path) as folder:
        writing = await asyncio.create_subprocess_exec(sys.executable, "-c", _WRITES, str(folder / "transcript.json"))
        await wait_until((folder / "transcript.json").exists, "it to write")
    assert await writing.wait() == 0
    assert left_in(tmp_path) == []


def left_in(place: Path) -> list[Path]:
    return list(place.iterdir())


async def _fill(place: Path) -> None:
    async with workplace(place) as folder:
        (folder / "source").write_bytes(b"sound")
        raise OSError(errno.ENOSPC, "No space left on device")
