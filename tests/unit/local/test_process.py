"""Processes that outlive their starter, and strangers that must not be touched."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from deploy.local.process import Identity, Process

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
# Starts a child that it does not wait for, says its pid, and goes on or ends.
PARENT = (
    "import subprocess, sys, time; c = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); print(c.pid, flush=True)"
)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    """One that is killed at the end, with all that it started."""
    process = Process(tmp_path / "pid.json", tmp_path / "log" / "process.log")
    yield process
    process.kill()


def start(process: Process, command: list[str], cwd: Path) -> int:
    """Start it and return its pid."""
    process.spawn(command, env=dict(os.environ), cwd=cwd)
    assert process.pid is not None
    return process.pid


def test_it_is_found_again_by_its_pid_file(process: Process, tmp_path: Path) -> None:
    """Another command, which did not start it, knows it and can stop it."""
    pid = start(process, SLEEP, tmp_path)
    other = Process(process.pid_file, process.log)
    assert other.pid == pid
    other.stop(signal.SIGTERM, 60)
    assert process.pid is None


def test_it_leads_a_session_of_its_own(process: Process, tmp_path: Path) -> None:
    """A Ctrl-C in the starter's terminal does not reach it."""
    pid = start(process, SLEEP, tmp_path)
    assert os.getsid(pid) == pid != os.getsid(0)


def test_a_stranger_with_the_same_pid_is_left_alone(tmp_path: Path) -> None:
    """The pid in the file was given to another program since: it is neither taken for ours nor signalled."""
    with subprocess.Popen(SLEEP) as stranger:
        pid_file = tmp_path / "pid.json"
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip() if sys.platform == "linux" else ""
        pid_file.write_bytes(msgspec.json.encode(Identity(pid=stranger.pid, boot=boot, started="1")))
        process = Process(pid_file, tmp_path / "log")
        assert process.pid is None
        process.send(signal.SIGKILL)
        process.kill()
        assert stranger.poll() is None
        stranger.kill()


def test_one_that_ignores_the_signal_is_killed(process: Process, tmp_path: Path) -> None:
    """Stopping ends within its limit, whatever the process thinks of it."""
    ignoring = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    start(process, [sys.executable, "-c", ignoring], tmp_path)
    while "deaf" not in process.log_tail():
        pass
    process.stop(signal.SIGTERM, 0.2)
    assert process.pid is None
    assert process.exit_status == -signal.SIGKILL


def test_what_it_left_behind_is_killed_too(process: Process, tmp_path: Path) -> None:
    """A child that outlived its parent is found through the session, and does not outlive the stop."""
    start(process, [sys.executable, "-c", PARENT], tmp_path)
    assert process.wait_gone(60)
    orphan = psutil.Process(int(process.log_tail()))
    process.stop(signal.SIGTERM, 1)
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE


def test_a_failure_shows_the_end_of_the_log(process: Process, tmp_path: Path) -> None:
    """Whoever reads the error sees what the process said last."""
    process.spawn([sys.executable, "-c", "print('out of cheese')"], env=dict(os.environ), cwd=tmp_path)
    assert process.wait_gone(60)
    assert "out of cheese" in str(process.failure("It ended."))
