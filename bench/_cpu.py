"""Who uses the cores: CPU seconds of each process of the system; and as much work of no meaning, to compare with.

`python -m bench._cpu SHARE` uses that share of one core until it is ended.
"""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import psutil

from bench._system import System

_SLICE_SECONDS = 0.01


def used(system: System, services: Sequence[str]) -> dict[str, float]:
    """CPU seconds that each service and server of the system has used, its children included."""
    pids = {name: system.process(name).pid for name in services}
    pids |= {server.name: server.process.pid for server in system.stack.servers if server.process.pid is not None}
    return {name: _of(psutil.Process(pid)) for name, pid in pids.items()}


def shares(before: Mapping[str, float], after: Mapping[str, float], seconds: float) -> dict[str, float]:
    """How much of one core each has used meanwhile."""
    return {name: (after[name] - before[name]) / seconds for name in after}


@asynccontextmanager
async def burning(share: float) -> AsyncIterator[None]:
    """For the time of the block other processes use `share` of one core, spread over all."""
    cores = os.cpu_count() or 1
    command = [sys.executable, "-m", "bench._cpu", str(share / cores)]
    processes = [await asyncio.create_subprocess_exec(*command) for _ in range(cores)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            await process.wait()


def _of(process: psutil.Process) -> float:
    """With what its children that have ended had used."""
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(one.cpu_times()[:4])
    return total


def _burn(share: float) -> None:
    while True:
        until = time.process_time() + share * _SLICE_SECONDS
        began = time.perf_counter()
        while time.process_time() < until:
            pass
        time.sleep(max(0.0, _SLICE_SECONDS - (time.perf_counter() - began)))


if __name__ == "__main__":
    _burn(float(sys.argv[1]))
