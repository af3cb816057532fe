"""Submissions as fast as they are answered, within a bound of what is under way; and what may go wrong meanwhile."""

import asyncio
import itertools
import random
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from uuid import UUID

import aiohttp

from bench._system import System
from common.database import Pool
from tests.recordings import wav

SETTINGS = {
    "LEASE_SECONDS": "4",
    "HEARTBEAT_SECONDS": "1",
    "RESCUE_INTERVAL_SECONDS": "1",
    "MAX_ATTEMPTS": "50",
    "MAX_CONCURRENT_JOBS": "2",  # one on the engine, one on its way
    "SHORT_JOBS_TOGETHER": "1",
    "DRAIN_SECONDS": "5",
}
_SUBMITTERS = 8
_LOOK_SECONDS = 0.1
_STALLED_SECONDS = 120.0
_RECORDING = wav(bytes(3_200))

Took = tuple[float, float, float, float]
"""p50, p95, p99 and the most."""


class Load(NamedTuple):
    """What became of a load; times in milliseconds, those of jobs by the database's clock.

    `queued` is from a job's creation until a worker first had it, `done` until it was completed.
    """

    jobs: int
    seconds: float
    submission: list[float]
    queued: list[float]
    done: list[float]
    repeated: int

    @property
    def figures(self) -> dict[str, Any]:
        return {
            "rate": len(self.done) / self.seconds,
            "seconds": self.seconds,
            "submission": percentiles(self.submission),
            "queued": percentiles(self.queued),
            "until done": percentiles(self.done),
            "lost": self.jobs - len(self.done),
            "repeated": self.repeated,
        }


def percentiles(values: Sequence[float]) -> Took:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98], max(values)


async def run(system: System, pool: Pool, *, jobs: int, backlog: int) -> Load:
    """Submit them all, and wait until nothing is under way any more."""
    submission: list[float] = []
    numbers, ids = iter(range(jobs)), list[UUID]()
    before = await _over(pool)
    room = _Room(pool, before, backlog)

    async def submit(client: aiohttp.ClientSession) -> None:
        for _ in numbers:
            await room.enter(len(ids))
            began = time.perf_counter()
            form = aiohttp.FormData()
            form.add_field("file", _RECORDING, filename="a.wav")
            async with client.post("/api/v1/jobs", data=form) as answer:
                assert answer.status == 202, await answer.text()
                ids.append(UUID((await answer.json())["id"]))
            submission.append((time.perf_counter() - began) * 1_000)

    looking = asyncio.create_task(room.look(), name="look")
    began = time.perf_counter()
    try:
        async with aiohttp.ClientSession(system.url("ingest")) as client, asyncio.TaskGroup() as group:
            for _ in range(_SUBMITTERS):
                group.create_task(submit(client))
        await room.wait_for(jobs)
    finally:
        looking.cancel()
        await asyncio.wait({looking})
    seconds = time.perf_counter() - began
    rows = await pool.fetch(
        "select extract(epoch from started_at - created_at)::float8 * 1000 as queued, attempt,"
        " extract(epoch from finished_at - created_at)::float8 * 1000 as done from jobs where id = any($1) and status = 'completed'",
        ids,
    )
    return Load(
        jobs,
        seconds,
        submission,
        [row["queued"] for row in rows],
        [row["done"] for row in rows],
        sum(row["attempt"] > 1 for row in rows),
    )


class _Room:
    """How many jobs are over, looked at again and again."""

    def __init__(self, pool: Pool, before: int, backlog: int) -> None:
        self._pool = pool
        self._before = before
        self._backlog = backlog
        self._over = 0
        self._looked = asyncio.Condition()

    async def look(self) -> None:
        while True:
            over = await _over(self._pool) - self._before
            async with self._looked:
                self._over = over
                self._looked.notify_all()
            await asyncio.sleep(_LOOK_SECONDS)

    async def enter(self, submitted: int) -> None:
        """Wait until fewer than the bound are under way."""
        await self.wait_for(submitted - self._backlog + 1)

    async def wait_for(self, over: int) -> None:
        """Wait until so many are over. Raises `TimeoutError` when nothing has ended for long."""
        async with self._looked:
            while self._over < over:
                async with asyncio.timeout(_STALLED_SECONDS):
                    await self._more(self._over)

    async def _more(self, seen: int) -> None:
        await self._looked.wait_for(lambda: self._over > seen)


async def _over(pool: Pool) -> int:
    count: int = await pool.fetchval("select count(*) from jobs where finished_at is not null")
    return count


class Trouble:
    """What was done to the system, and for how many seconds there was no broker."""

    def __init__(self) -> None:
        self.done = Counter[str]()
        self.brokerless = 0.0

    async def kill(self, system: System, workers: Sequence[str], every: float) -> None:
        """SIGKILL to one worker after another, each started again at once."""
        chance = random.Random(1)  # noqa: S311 - makes trouble, guards nothing
        while True:
            await asyncio.sleep(every)
            name = chance.choice(workers)
            await asyncio.to_thread(system.kill, name)
            self.done["SIGKILL to a worker"] += 1
            await system.start(name)

    async def restart(self, system: System, every: float) -> None:
        """The broker goes, asked to and not, and comes back."""
        broker = system.stack.rabbitmq
        for stop in itertools.cycle((broker.stop, broker.kill)):
            await asyncio.sleep(every)
            began = time.perf_counter()
            self.done["broker restarted"] += 1
            try:
                await asyncio.to_thread(stop)
                await asyncio.to_thread(broker.start)
            finally:
                self.brokerless += time.perf_counter() - began


@asynccontextmanager
async def troubled(system: System, workers: Sequence[str], *, kill_every: float, restart_every: float) -> AsyncIterator[Trouble]:
    """While the block runs, workers die and the broker goes away and comes back; at its end there is a broker."""
    trouble = Trouble()
    tasks = [
        asyncio.create_task(trouble.kill(system, workers, kill_every), name="kill"),
        asyncio.create_task(trouble.restart(system, restart_every), name="restart"),
    ]
    try:
        yield trouble
        for task in tasks:
            if task.done():
                task.result()  # it has failed: trouble does not end by itself
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(system.stack.rabbitmq.start)
