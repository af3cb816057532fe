"""One server of the stack: start, stop and kill it, and know when it is ready. Each can be restarted without the others.

`start` is idempotent and returns only when the server answers; its ports, secrets and data survive `stop` and `kill`.
"""

import os
import signal
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from deploy.local.private import Private
from deploy.local.process import POLL_SECONDS, Process


class Server(ABC):
    """A process with a private directory `root/name`, a log, and a probe."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    ready_seconds: ClassVar[float] = 60
    stop_seconds: ClassVar[float] = 20

    def __init__(self, root: Path) -> None:
        self.directory = root / self.name
        self.private = Private(self.directory / "private.json")
        self.process = Process(self.directory / "process.json", root / "log" / f"{self.name}.log")

    @property
    def running(self) -> bool:
        return self.process.pid is not None

    def start(self) -> None:
        if not self.running:
            self.directory.mkdir(parents=True, exist_ok=True)
            self.directory.chmod(0o700)
            self.launch()
            self.wait_ready()
            self.settle()
        self.wait_ready()

    def stop(self) -> None:
        self.process.stop(self.stop_signal, self.stop_seconds)

    def kill(self) -> None:
        """As a power cut would: no goodbye, nothing flushed."""
        self.process.kill()

    def wait_ready(self) -> None:
        deadline = time.monotonic() + self.ready_seconds
        while not self.probe():
            if not self.running:
                raise self.process.failure(f"{self.name} ended while it was starting.")
            if time.monotonic() > deadline:
                raise self.process.failure(f"{self.name} runs but did not become ready within {self.ready_seconds:.0f} s.")
            time.sleep(POLL_SECONDS)

    @abstractmethod
    def launch(self) -> None:
        """Prepare the directory and spawn the process."""

    def settle(self) -> None:  # noqa: B027 - most servers have nothing left to do
        """What is left to do when it answers for the first time after a launch."""

    @abstractmethod
    def probe(self) -> bool:
        """Whether it answers in its own protocol. Quick, and never raises for a server that is not there yet."""

    @abstractmethod
    def version(self) -> str: ...


def plain_environment(**extra: str) -> dict[str, str]:
    """What any program needs and no more: a user's own PGHOST or RABBITMQ_NODENAME must not leak into a private server."""
    kept = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "HOME", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | extra
