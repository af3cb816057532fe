"""Sharing one stack between sessions, and one machine between commands."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy.local.lock import Users, once


def test_only_the_first_cleans_and_only_the_last_puts_away(tmp_path: Path) -> None:
    """Two overlapping users: one cleaning at the start, one putting away at the end."""
    done: list[str] = []
    first, second = Users(tmp_path / "lock"), Users(tmp_path / "lock")
    first.join(lambda: done.append("first cleans"))
    second.join(lambda: done.append("second cleans"))
    first.leave(lambda: done.append("first puts away"))
    second.leave(lambda: done.append("second puts away"))
    assert done == ["first cleans", "second puts away"]


def test_after_the_last_has_left_the_next_is_first(tmp_path: Path) -> None:
    """The lock file that stays behind says nothing by itself."""
    for _ in range(2):
        done: list[str] = []
        users = Users(tmp_path / "lock")
        users.join(lambda done=done: done.append("cleans"))  # type: ignore[misc]
        users.leave(lambda done=done: done.append("puts away"))  # type: ignore[misc]
        assert done == ["cleans", "puts away"]


def test_what_two_would_do_at_once_is_done_once(tmp_path: Path) -> None:
    """The other waits, and finds it done, as a system user that would get another number, or a package that is being installed."""
    program, done = tmp_path / "useradd", list[str]()
    program.touch()

    def do() -> None:
        time.sleep(0.3)
        done.append("made")

    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: once(str(program), lambda: done, do), range(2)))
    assert done == ["made"]
