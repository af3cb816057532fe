"""A process that outlives the command which started it.

Its pid file holds the pid and the moment the kernel started it. A pid alone is no identity: after a reboot or a wrap-around it
names a stranger. Nothing here signals a pid unless both still match.
"""

import contextlib
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypedDict

import msgspec
import psutil

from deploy.local.errors import StackError
from deploy.local.private import write_private

POLL_SECONDS = 0.02
LOG_KEPT_BYTES = 20 * 1024 * 1024


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a program: no two processes ever share `boot`, `started` and `pid`."""

    boot: str
    started: str
    pid: int
    fingerprint: str = ""


class Child(Protocol):
    """A process that this one has started."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """How it ended, as subprocess tells it; None while it runs."""
        ...


class Process:
    """The process named by a pid file, whoever started it and when."""

    def __init__(self, pid_file: Path, log: Path) -> None:
        self.pid_file = pid_file
        self.log = log

    @property
    def pid(self) -> int | None:
        identity = self._identity()
        return identity.pid if identity and _is_alive(identity) else None

    @property
    def fingerprint(self) -> str:
        """What the starter said about the configuration that it was last started with."""
        identity = self._identity()
        return identity.fingerprint if identity else ""

    @property
    def exit_status(self) -> int | None:
        """How it ended, as subprocess tells it; known only to the command that started it."""
        identity = self._identity()
        child = _children.get(identity.pid) if identity else None
        return child.poll() if child else None

    def spawn(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path,
        user: pwd.struct_passwd | None = None,
        fingerprint: str = "",
    ) -> None:
        """Start it in a session of its own, so that a Ctrl-C meant for the starter does not reach it. Output goes to `log`."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_KEPT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        child = self.start(command, env=env, cwd=cwd, user=user)
        _children[child.pid] = child
        identity = Identity(pid=child.pid, boot=_boot(), started=_started(child.pid) or "", fingerprint=fingerprint)
        write_private(self.pid_file, msgspec.json.encode(identity))

    def start(self, command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path, user: pwd.struct_passwd | None) -> Child:
        """A new process, as `spawn` promises it."""
        with self.log.open("ab") as output:
            return subprocess.Popen(
                command,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **as_user(user),
            )

    def send(self, number: signal.Signals) -> None:
        """Send a signal; a process that is gone already is no error."""
        if pid := self.pid:
            _signal(pid, number)

    def stop(self, number: signal.Signals, limit: float) -> None:
        """Ask it to end, wait, and kill what is still there after `limit` seconds, or was left behind by it."""
        self.send(number)
        self.wait_gone(limit)
        self.kill()

    def kill(self) -> None:
        """SIGKILL it and all that it started, and wait until none is left. It goes first: it must not react to the others' end."""
        identity = self._identity()
        victims = _family(identity) if identity else {}
        for victim in victims:
            _signal(victim, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while any(_started(victim) == started for victim, started in victims.items()) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)

    def wait_gone(self, limit: float) -> bool:
        deadline = time.monotonic() + limit
        while self.pid is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def log_tail(self, lines: int = 20) -> str:
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 65536))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def failure(self, what: str) -> StackError:
        """An error that carries the end of the log: what a reader would look up next."""
        return StackError(f"{what}\nThe end of {self.log}:\n{self.log_tail()}")

    def _identity(self) -> Identity | None:
        try:
            return msgspec.json.decode(self.pid_file.read_bytes(), type=Identity)
        except (FileNotFoundError, msgspec.DecodeError):
            return None


class _AsUser(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def as_user(user: pwd.struct_passwd | None) -> _AsUser:
    """The arguments with which subprocess becomes that user; None changes nothing."""
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}


# Told apart by what is there: a type checker would take a comparison with sys.platform for settled.
_HAS_PROC = Path("/proc/self/stat").exists()

# Children of this very process: they stay zombies until polled, and a Popen that is collected while its process runs warns.
_children: dict[int, Child] = {}


def _is_alive(identity: Identity) -> bool:
    return identity.boot == _boot() and bool(identity.started) and _started(identity.pid) == identity.started


def _family(identity: Identity) -> dict[int, str]:
    """The process, its descendants, and its session's other members, which may have outlived it; each with its start.

    The kernel gives no new process a number that is still some session's, so as long as a member lives, the session is ours.
    """
    alive = _is_alive(identity)
    if identity.boot != _boot() or (not alive and _started(identity.pid) is not None):
        return {}
    members = [identity.pid] if alive else []
    with contextlib.suppress(psutil.NoSuchProcess):
        members += [child.pid for child in psutil.Process(identity.pid).children(recursive=True)] if alive else []
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if pid not in members and os.getsid(pid) == identity.pid:
                members.append(pid)
    return {pid: started for pid in members if (started := _started(pid))}


def _boot() -> str:
    if _HAS_PROC:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return str(int(psutil.boot_time()))


def _started(pid: int) -> str | None:
    """When the kernel started it, or None for one that is gone or a zombie. On Linux no change of the clock touches it."""
    if (child := _children.get(pid)) and child.poll() is not None:
        return None
    if _HAS_PROC:
        try:
            # The name in parentheses may hold anything; the fixed fields begin after the last one.
            state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # A zombie whose other threads are still ending holds its files and ports as if it lived.
        threads, started = fields[16], fields[18]
        return None if state in "ZX" and int(threads) <= 1 else started
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except psutil.NoSuchProcess:
        return None


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
