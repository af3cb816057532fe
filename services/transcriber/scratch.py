"""The folder in which this process keeps recordings while it works on them: gone when the process ends, however that is.

A folder is its process's for as long as a lock in it is held, and the kernel lets go of that even for who was killed. What such a process
left behind is taken away by the next one that starts; folders are made and taken away one process at a time, so that none is found before
its lock. Each piece of work has a folder of its own in it.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import structlog

from common.errors import TransientError

log = structlog.get_logger(__name__)

_PREFIX = "verbatim-"
_HELD = ".held"


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


@contextmanager
def workplace(within: Path) -> Iterator[Path]:
    """An empty folder for the block. What the disk refuses there is raised as `TransientError` `scratch_failed`: it may have room again."""
    try:
        # The engine may still be writing there when nobody waits for it any more.
        with tempfile.TemporaryDirectory(dir=within, ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise TransientError("scratch_failed", f"The transcriber's disk could not keep what it works on: {reason}.") from error


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
