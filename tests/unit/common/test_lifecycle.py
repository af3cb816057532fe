"""How a service stops: told to, it drains; broken, it fails; impatient hands end it at once."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from common.lifecycle import Lifecycle, ServiceFailed, lifecycle


@pytest.fixture
async def life() -> AsyncIterator[Lifecycle]:
    """A service's lifecycle that drains for a fraction of a second."""
    async with lifecycle(0.2) as opened:
        yield opened


async def for_ever() -> None:
    await asyncio.Event().wait()


async def break_down() -> None:
    raise ZeroDivisionError


async def test_sigterm_drains(life: Lifecycle) -> None:
    """Work sees `stopping`, finishes what it has and is waited for; side tasks go on until then."""
    order: list[str] = []

    async def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await life.stopping.wait()
        order.append("work done")

    async def side() -> None:
        try:
            await for_ever()
        finally:
            order.append("side ended")

    life.work("work", work())
    life.side("side", side())
    async with asyncio.timeout(60):
        await life.run()
    assert order == ["work done", "side ended"]


async def test_work_that_is_late_is_cancelled(life: Lifecycle) -> None:
    """What does not end within the drain limit is cancelled, and may give back what it holds before the service ends."""
    given_back = False

    async def stubborn() -> None:
        nonlocal given_back
        try:
            await for_ever()
        finally:
            await asyncio.sleep(0)
            given_back = True

    life.work("stubborn", stubborn())
    life.stopping.set()
    async with asyncio.timeout(60):
        await life.run()
    assert given_back


@pytest.mark.parametrize("kind", ["work", "side"])
async def test_a_task_that_dies_fails_the_service(life: Lifecycle, kind: str) -> None:
    """Nothing half alive: the others drain, and the service ends with an error that names the task."""
    others: list[str] = []

    async def other() -> None:
        await life.stopping.wait()
        others.append("drained")

    life.work("other", other())
    getattr(life, kind)("broken", break_down())
    with pytest.raises(ServiceFailed, match="broken"):
        async with asyncio.timeout(60):
            await life.run()
    assert others == ["drained"]


async def test_work_that_ends_too_early_fails_the_service(life: Lifecycle) -> None:
    """A consumer that returned without being told to is as dead as one that raised."""

    async def give_up() -> None:
        pass

    life.work("consumer", give_up())
    with pytest.raises(ServiceFailed, match="consumer"):
        await life.run()


async def test_work_that_fails_while_draining_fails_the_service(life: Lifecycle) -> None:
    """A failure at the very end is still a failure, not an exit status of 0."""

    async def work() -> None:
        await life.stopping.wait()
        raise ZeroDivisionError

    life.work("work", work())
    life.stopping.set()
    with pytest.raises(ServiceFailed, match="work"):
        await life.run()


async def test_a_service_is_alive_until_a_task_dies(life: Lifecycle) -> None:
    """Liveness is lost with the first task that dies, and kept while work ends one by one in a drain."""
    ending = asyncio.Event()

    async def work() -> None:
        await ending.wait()

    life.side("relay", for_ever())
    life.work("work", work())
    states = [life.alive]
    ending.set()
    await asyncio.sleep(0)  # one turn of the loop wakes the task, in which it ends
    await asyncio.sleep(0)
    states.append(life.alive)
    life.stopping.set()
    states.append(life.alive)
    assert states == [True, False, True]


async def test_a_service_that_fails_before_it_runs_leaves_no_task() -> None:
    """An exception while resources are opened ends the tasks that were started already."""
    ended = asyncio.Event()

    async def side() -> None:
        try:
            await for_ever()
        finally:
            ended.set()

    async def start() -> None:
        async with lifecycle(1) as life:
            life.side("side", side())
            await asyncio.sleep(0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await start()
    assert ended.is_set()


def test_a_second_signal_ends_the_process_at_once() -> None:
    """Whoever presses Ctrl-C twice does not want to wait for a drain."""
    script = """
import asyncio, os, signal
from common.lifecycle import lifecycle

async def main():
    async with lifecycle(60) as life:
        async def stubborn():
            os.kill(os.getpid(), signal.SIGTERM)
            await life.stopping.wait()
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        life.work("stubborn", stubborn())
        await life.run()

asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", script], check=False, timeout=120, capture_output=True)
    assert ended.returncode == 130
