"""The system user as whom Postgres runs where we are root."""

import os
import pwd
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.local import postgres
from deploy.local.errors import StackError
from deploy.local.postgres import SYSTEM_USER, Postgres

ME = pwd.getpwuid(os.getuid())


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which we are root: who was made is in this file, a line each time; `useradd` is slow, and makes anybody twice."""
    made, useradd = tmp_path / "users", tmp_path / "useradd"
    made.touch()
    useradd.write_text(f"#!/bin/sh\nsleep 0.3\necho $* >> {made}\n")
    useradd.chmod(0o755)

    def known(name: str) -> pwd.struct_passwd:
        if name not in made.read_text():
            raise KeyError(name)
        return ME

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", known)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return made


def test_two_at_once_make_one_user(users: Path) -> None:
    """On a machine on which Postgres never ran, the first two to start it would each make the user, under a number of their own."""
    with ThreadPoolExecutor() as pool:
        assert list(pool.map(lambda _: postgres._made(), range(2))) == [ME, ME]
    assert len(users.read_text().splitlines()) == 1


def test_no_user_to_become(users: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who cannot make it is told what to do."""
    monkeypatch.setenv("PATH", str(users.parent / "empty"))
    with pytest.raises(StackError, match=f"{SYSTEM_USER} could not be made.*\n.*normal user"):
        _ = Postgres(tmp_path)._user
