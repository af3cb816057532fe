"""The real system for a bench: its own stack and services under `.verbatim/bench`, nothing shared with `./run up` or the tests."""

import asyncio
import contextlib
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import psutil

from deploy.local.private import Private
from deploy.local.service import REPOSITORY, Service, local_environment, without_configuration
from deploy.local.stack import Stack

ROOT = REPOSITORY / ".verbatim" / "bench"
MODELS = REPOSITORY / ".verbatim" / "models"
_READY_SECONDS = 120.0
_POLL_SECONDS = 0.05


class System:
    """A running stack and some running services."""

    def __init__(self, stack: Stack, services: dict[str, Service], environment: dict[str, str]) -> None:
        self.stack = stack
        self.environment = environment
        self._services = services

    def url(self, name: str) -> str:
        return self._services[name].url

    def kill(self, name: str) -> None:
        """SIGKILL to the service alone; returns when it is gone."""
        self._services[name].kill()

    async def start(self, name: str) -> None:
        """Start one that was killed, with the environment that it had."""
        await asyncio.to_thread(self._services[name].launch, self.environment)

    def process(self, name: str) -> psutil.Process:
        """The service's own process, to be measured."""
        pid = self._services[name].pid
        assert pid is not None, f"{name} has died; its log is {self._services[name].process.log}"
        return psutil.Process(pid)

    @asynccontextmanager
    async def beside(self, name: str, environ: Mapping[str, str]) -> AsyncIterator[Self]:
        """The same stack with one service of its own, configured otherwise."""
        service = Service(name, ROOT / "beside")
        environment = {**self.environment, **environ}
        service.launch(environment)
        try:
            await _until_ready(service)
            yield type(self)(self.stack, {name: service}, environment)
        finally:
            service.process.kill()


@asynccontextmanager
async def running(*names: str, environ: Mapping[str, str] | None = None, modules: Mapping[str, str] | None = None) -> AsyncIterator[System]:
    """Start an empty stack and the named services; stop all at the end. Durable as in production: fsync stays on.

    `modules` are what is run by names that are none of a service.
    """
    await asyncio.to_thread(_empty)
    with Stack(ROOT, environ={}) as stack:
        environment = {
            **local_environment(stack, models=MODELS, private=Private(ROOT / "private.json"), environ=without_configuration(os.environ)),
            "LOG_LEVEL": "warning",
            "LOG_FORMAT": "json",
            **(environ or {}),
        }
        services = {name: Service(name, ROOT, module=(modules or {}).get(name)) for name in names}
        try:
            for service in services.values():
                service.launch(environment)
            for service in services.values():
                await _until_ready(service)
            yield System(stack, services, environment)
        finally:
            for service in services.values():
                service.process.kill()


def _empty() -> None:
    """What an earlier bench left would be worked on in this one's time."""
    Stack(ROOT, environ={}).stop()
    shutil.rmtree(ROOT, ignore_errors=True)


async def _until_ready(service: Service) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while waiting_for := await asyncio.to_thread(service.readiness):
        if service.pid is None or time.monotonic() > deadline:
            raise RuntimeError(f"{service.name} waits for {waiting_for}:\n{service.process.log_tail(40)}")
        await asyncio.sleep(_POLL_SECONDS)


class PeakMemory:
    """Samples a process's resident set while the block runs; `bytes` is the largest seen."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self.bytes = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._sample())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _sample(self) -> None:
        while True:
            self.bytes = max(self.bytes, self._process.memory_info().rss)
            await asyncio.sleep(0.02)


def report(name: str, rows: Sequence[tuple[str, str, str]], figures: Mapping[str, Any]) -> None:
    """Print a table of (what, measured, wanted) and write every figure to `bench/results/NAME.json`."""
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    path = Path(__file__).parent / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"bench": name, "cores": os.cpu_count(), **figures}, indent=2) + "\n")
    print(f"written to {path.relative_to(REPOSITORY)}")
