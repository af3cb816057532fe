"""How a service lives and stops.

SIGTERM or SIGINT sets `stopping`: work takes nothing new and finishes what it has; what is not finished within the drain limit is cancelled
and gives back what it holds. Side tasks (relay, listener, health) go on until the work is over. A task that dies, of either kind, stops
the service with a non-zero exit. A second signal ends the process at once.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog
from prometheus_client import Gauge

_TASKS = Gauge("verbatim_tasks", "Tasks of the event loop that are not done")

log = structlog.get_logger(__name__)


class ServiceFailed(Exception):
    """A watched task died."""


class Lifecycle:
    """Start tasks with `work` and `side`, then await `run`."""

    def __init__(self, drain_seconds: float) -> None:
        self.stopping = asyncio.Event()
        self._drain_seconds = drain_seconds
        self._work: list[asyncio.Task[None]] = []
        self._side: list[asyncio.Task[None]] = []

    def work(self, name: str, coroutine: Coroutine[Any, Any, None]) -> None:
        """A task that ends by itself soon after `stopping` is set."""
        self._work.append(asyncio.create_task(coroutine, name=name))

    def side(self, name: str, coroutine: Coroutine[Any, Any, None]) -> None:
        """A task that runs until it is cancelled."""
        self._side.append(asyncio.create_task(coroutine, name=name))

    @property
    def alive(self) -> bool:
        """Whether every task that should be running is; while the service stops, its work ends one by one."""
        return self.stopping.is_set() or not any(task.done() for task in (*self._work, *self._side))

    async def run(self) -> None:
        """Until told to stop, then drain. Raises `ServiceFailed` when a task died."""
        stop = asyncio.create_task(self.stopping.wait(), name="stopping")
        await asyncio.wait((stop, *self._work, *self._side), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        died = [task for task in (*self._work, *self._side) if task.done() and not self.stopping.is_set()]
        self.stopping.set()
        if self._work:
            _, late = await asyncio.wait(self._work, timeout=self._drain_seconds)
            await _cancel(late)
        await _cancel(self._side)
        failed = [task for task in (*self._work, *self._side) if task in died or _broke(task)]
        for task in failed:
            log.error("task died", task=task.get_name(), exc_info=task.exception() if _broke(task) else None)
        if failed:
            raise ServiceFailed(_reason(failed[0]))

    async def cancel(self) -> None:
        """End every task that is left, for a service that fails before it runs."""
        await _cancel([*self._work, *self._side])


def _broke(task: "asyncio.Task[None]") -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None


def _reason(task: "asyncio.Task[None]") -> str:
    error = None if task.cancelled() else task.exception()
    return task.get_name() if error is None else f"{task.get_name()}: {error}"


async def _cancel(tasks: "set[asyncio.Task[None]] | list[asyncio.Task[None]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def lifecycle(drain_seconds: float) -> AsyncIterator[Lifecycle]:
    """A `Lifecycle` that hears SIGTERM and SIGINT."""
    life = Lifecycle(drain_seconds)
    loop = asyncio.get_running_loop()
    _TASKS.set_function(lambda: len(asyncio.all_tasks(loop)))

    def on_signal() -> None:
        if life.stopping.is_set():
            os._exit(130)
        log.info("stopping")
        life.stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        yield life
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        await life.cancel()
