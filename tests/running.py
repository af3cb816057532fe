"""What the fixtures hand out: virtual hosts that cost next to nothing, and services as real processes."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest

from deploy.local.process import Process
from deploy.local.service import Service
from deploy.local.stack import Stack
from tests.nursery import Nursed

_BATCH = 16
_READY_SECONDS = 120.0
_POLL_SECONDS = 0.05


class Vhosts:
    """Making one takes half a second, nearly all of it for the control program: so they are made, and deleted, by the batch."""

    def __init__(self, stack: Stack, prefix: str) -> None:
        self._stack = stack
        self._prefix = prefix
        self._count = 0
        self._fresh: list[str] = []
        self._used: list[str] = []

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """The URL of an empty one. With a broker of the user's own: that URL, which must name a virtual host made for tests."""
        if self._stack.rabbitmq not in self._stack.servers:
            url = self._stack.amqp_url
            if "test" not in urlsplit(url).path:
                pytest.fail("AMQP_URL must name a virtual host with 'test' in its name: tests fill and empty it")
            yield url
            return
        if not self._fresh:
            self._replenish()
        name = self._fresh.pop()
        yield self._stack.rabbitmq.vhost_url(name)
        self._used.append(name)

    def close(self) -> None:
        self._stack.rabbitmq.delete_vhosts(self._used + self._fresh)

    def _replenish(self) -> None:
        self._stack.rabbitmq.delete_vhosts(self._used)
        self._used.clear()
        self._fresh = [f"{self._prefix}{self._count + number}" for number in range(_BATCH)]
        self._count += _BATCH
        self._stack.rabbitmq.add_vhosts(self._fresh)


class RunningService:
    """A service that was ready a moment ago."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.name = service.name
        self.pid = service.pid or 0
        self.url = service.url
        self.log_path = service.process.log

    @property
    def log(self) -> str:
        """Everything it has written so far."""
        return self.log_path.read_text(errors="replace")

    @property
    def running(self) -> bool:
        return self._service.pid is not None

    def terminate(self) -> None:
        """SIGTERM; `await gone()` for its end."""
        self._service.terminate()

    def kill(self) -> None:
        """SIGKILL to this process alone, not to its children; returns when it is gone."""
        self._service.kill()

    async def gone(self, limit: float = 60) -> int:
        """Wait until it has ended; returns its exit status (negative: the signal that ended it)."""
        process = self._service.process
        await wait_until(lambda: process.exit_status is not None, f"the {self.name} to end", limit)
        assert process.exit_status is not None
        return process.exit_status


class Services:
    """Starts real services and sees to it that none outlives its test."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self._environment = environment
        self._directory = directory
        self._started: list[Service] = []

    async def __call__(
        self,
        name: str,
        *,
        limit: float = _READY_SECONDS,
        until: Literal["ready", "live"] = "ready",
        process: type[Process] = Nursed,
        module: str | None = None,
        **environment: str,
    ) -> RunningService:
        """Start the service and wait until it is ready, or only answers at all (`live`).

        Keyword arguments in capitals are more environment, read on top of the fixture's. What libraries read of it when they are imported
        is read only by an ordinary `Process`. `module` is what is run instead of the service of this name.
        """
        service = Service(name, self._directory / f"{len(self._started)}-{name}", module=module, process=process)
        self._started.append(service)
        service.launch({**self._environment, **environment})
        deadline = time.monotonic() + limit
        while waiting_for := await asyncio.to_thread(service.readiness, f"/health/{until}"):
            if service.pid is None:
                pytest.fail(f"{name} ended while it was starting:\n{service.process.log_tail(60)}")
            if time.monotonic() > deadline:
                pytest.fail(f"{name} still waits for {waiting_for} after {limit:.0f} s:\n{service.process.log_tail(60)}")
            await asyncio.sleep(_POLL_SECONDS)
        return RunningService(service)

    def stop(self) -> None:
        """Kill what is left, with all that it started. Its log goes to stdout, which pytest shows when the test failed."""
        for service in self._started:
            service.process.kill()
            print(f"--- log of {service.name} ({service.process.log})\n{service.process.log_tail(80)}")  # noqa: T201


@asynccontextmanager
async def standstill() -> AsyncIterator[Callable[[], float]]:
    """For how many seconds the machine kept us waiting since the block began: who is late by no more than that is excused."""
    lost, began = 0.0, time.monotonic()

    def late() -> float:
        """Since it was counted last: who asks may be awake before who counts."""
        return max(0.0, time.monotonic() - began - _POLL_SECONDS)

    async def count() -> None:
        nonlocal lost, began
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            lost += late()
            began = time.monotonic()

    counting = asyncio.create_task(count())
    try:
        yield lambda: lost + late()
    finally:
        counting.cancel()


async def wait_until(condition: Callable[[], bool | Awaitable[bool]], what: str, limit: float = 60) -> None:
    """Wait for a condition with a deadline, instead of sleeping for a guessed time."""
    deadline = time.monotonic() + limit
    while True:
        answer = condition()
        if answer if isinstance(answer, bool) else await answer:
            return
        if time.monotonic() > deadline:
            pytest.fail(f"waited {limit:.0f} s in vain for {what}")
        await asyncio.sleep(_POLL_SECONDS)
