"""The folder in which this process keeps recordings while it works on them: gone when the process ends, however that is.

A folder is its process's for as long as a lock in it is held, and the kernel lets go of that even for who was killed. What such a process
left behind is taken away by the next one that starts; folders are made and taken away one process at a time, so that none is found before
its lock. Each piece of work has a folder of its own in it.
"""

import asyncio
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

import structlog

from common.errors import TransientError

log = structlog.get_logger(__name__)

_PREFIX = "verbatim-"
_HELD = ".held"
_TRIES, _PAUSE_SECONDS = 5, 1.0


@contextmanager
def scratch(within: Path | None = None) -> Iterator[Path]:
    """An empty folder, in the system's place for such things unless said otherwise."""
    place = within or Path(tempfile.gettempdir())
    with (place / f".{_PREFIX}{os.getuid()}").open("ab") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        _clear(place)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        lock = (folder / _HELD).open("wb")
        _take(lock)
    with lock:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def workplace(within: Path) -> AsyncIterator[Path]:
    """An empty folder for the block. What the disk refuses there is raised as `TransientError` `scratch_failed`: it may have room again."""
    try:
        folder = Path(tempfile.mkdtemp(dir=within))
        try:
            yield folder
        finally:
            await asyncio.to_thread(_remove, folder)  # which goes on if the wait for it is cancelled
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise TransientError("scratch_failed", f"The transcriber's disk could not keep what it works on: {reason}.") from error


def _remove(folder: Path) -> None:
    """The engine may still be writing there when nobody waits for it any more, but not for long."""
    for _ in range(_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(_PAUSE_SECONDS)
    log.error("what was worked on stays on the disk until this process ends", folder=str(folder))


def _clear(place: Path) -> None:
    for folder in place.glob(f"{_PREFIX}*"):
        try:
            with (folder / _HELD).open("rb") as lock:
                if not _take(lock):
                    continue
                shutil.rmtree(folder)
        except OSError:  # no folder of ours, or another user's
            continue
        log.info("folder of a process that was killed taken away", folder=folder.name)


def _take(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
