"""Locks between commands, held through an open file: the kernel lets go of them however the holder ends."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Wait until no other process is inside."""
    with _open(path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def once(program: str, done: Callable[[], object], do: Callable[[], object]) -> None:
    """Unless it is done already, do what `program` (a path) is for; of several on this machine one does it, and the others wait."""
    with Path(program).open("rb") as file:  # which anybody may open, and nobody but root replace
        fcntl.flock(file, fcntl.LOCK_EX)
        if not done():
            do()


class Users:
    """Who shares something that only the first may clean and only the last may put away."""

    def __init__(self, path: Path) -> None:
        self._file = _open(path)

    def join(self, when_alone: Callable[[], None]) -> None:
        """Become one of the users. When there is no other, `when_alone` runs first, and nobody can join before it is done."""
        if self._try_exclusive():
            when_alone()
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def leave(self, when_last: Callable[[], None]) -> None:
        """Stop being one. When no other is left, `when_last` runs, and nobody can join before it is done."""
        with self._file:
            if self._try_exclusive():
                when_last()

    def _try_exclusive(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _open(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")
