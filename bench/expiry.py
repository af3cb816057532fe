"""`./run bench expiry`: very many jobs whose time is over, with their objects, while clients go on using the API.

The jobs lie in the database and the store as submissions would have left them, but are written there directly. Then a cleanup is asked for
as an operator does. Before and meanwhile a client asks for jobs and lists at a steady rate: its latencies are those of an API whose machine
is shared with the sweep, the database, the broker and the store. After it the same goes on beside processes that use as much of the cores
as the sweep made all of those use, to tell what is Verbatim's doing from what is the machine's.
"""

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

import aiohttp
import httpx
import msgspec
import psutil

from bench._course import Course, course_rows
from bench._cpu import burning, shares, used
from bench._system import System, report, running
from common import ids
from common.database import Pool, connect
from common.ids import JobId, LeaseToken
from common.storage_keys import source_key, transcript_key

_SERVICES = ("ingest", "janitor")
_WANTED_RATE = 500
_WANTED_SLOWDOWN = 2.0
_ROWS = 5_000
_AT_ONCE = 48
_KEPT = 1_000
_REQUESTS_PER_SECOND = 50
_CALM_SECONDS = 20.0
_RETENTION = timedelta(days=7)
_MIB = 2**20
_COLUMNS = (
    *(
        "id",
        "tenant",
        "status",
        "priority",
        "options",
        "source",
        "retention",
        "attempt",
        "max_attempts",
        "result",
        "progress",
        "created_at",
    ),
    *("queued_at", "started_at", "finished_at", "expires_at", "duration", "duration_known"),
)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="./run bench expiry")
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args(arguments)
    asyncio.run(_run(options.jobs, options.rounds))


async def _run(jobs: int, rounds: int) -> None:
    once = {"CLEANUP_INTERVAL_MINUTES": "100000", "STORAGE_MEASURE_MINUTES": "100000", "RECONCILE_INTERVAL_HOURS": "100000"}
    async with (
        running(*_SERVICES, environ=once) as system,
        connect(system.environment["DATABASE_URL"], name="bench") as pool,
        httpx.AsyncClient(base_url=system.url("ingest"), timeout=60) as client,
    ):
        kept = await _fill(system, pool, _KEPT, stays=True)
        found = []
        for _ in range(rounds):
            await _fill(system, pool, jobs // rounds)
            found.append(await _round(system, pool, client, kept, jobs // rounds))
        left = await pool.fetchval("select count(*) from jobs where status <> 'expired'")
    assert left == _KEPT
    rate = statistics.median(each["rate"] for each in found)
    slower = statistics.median(_p99(each["busy"]) / _p99(each["calm"]) for each in found)
    beside = statistics.median(_p99(each["beside"]) / _p99(each["calm"]) for each in found)
    more = {name: statistics.median(each["cores"][name] for each in found) for name in sorted(found[0]["cores"])}
    early, most = found[0]["early_rss"], max(each["most_rss"] for each in found)
    rows = [
        (f"{jobs:,} jobs with 2 objects each, in {rounds} rounds", "measured", "wanted"),
        ("jobs expired a second", f"{rate:.0f}", f">= {_WANTED_RATE}"),
        ("API p50 / p99 without a sweep, ms", _both(found, "calm"), ""),
        ("API p50 / p99 meanwhile, ms", _both(found, "busy"), ""),
        ("p99 meanwhile / without (median of rounds)", f"{slower:.2f}", f"<= {_WANTED_SLOWDOWN:g}"),
        ("p99 beside as much work that is not Verbatim's / without", f"{beside:.2f}", ""),
        ("cores used meanwhile, more than without", f"{sum(more.values()):.2f}", f"of {os.cpu_count()}"),
        *((f"  by {name}", f"{cores:.2f}", "") for name, cores in more.items()),
        *course_rows([each["course"] for each in found]),
        ("janitor's RSS in the first tenth / at the most, MiB", f"{early / _MIB:.0f} / {most / _MIB:.0f}", "flat"),
        ("events published after the sweep's end by, s", f"{max(each['told'] for each in found):.1f}", ""),
    ]
    figures = {"rate": rate, "slowdown": slower, "slowdown_beside": beside, "cores": more, "early_rss": early, "most_rss": most}
    latencies = {which: [_told(each[which]) for each in found] for which in ("calm", "busy", "beside")}
    courses = [msgspec.to_builtins(each["course"]) for each in found]
    report("expiry", rows, {"jobs": jobs, "rounds": rounds, **figures, "latencies_ms": latencies, "courses": courses})


async def _round(system: System, pool: Pool, client: httpx.AsyncClient, kept: Sequence[JobId], jobs: int) -> dict[str, Any]:
    """The API's latencies by itself, while the jobs expire, and beside as much work of no meaning."""
    idle, calm = await _measured(system, client, kept, asyncio.sleep(_CALM_SECONDS))
    async with _Memory(system.process("janitor")) as memory, Course(system, pool, _SERVICES) as course:
        sweeping = asyncio.create_task(_sweep(client))
        work, busy = await _measured(system, client, kept, sweeping)
    swept = sweeping.result()
    assert swept["swept"] == jobs, swept
    told = await _published(pool)
    cores = {name: work[name] - idle[name] for name in work}
    async with burning(max(0.0, sum(cores.values()))):
        _, beside = await _measured(system, client, kept, asyncio.sleep(_CALM_SECONDS))
    latencies = {"calm": calm, "busy": busy, "beside": beside}
    return {
        "rate": jobs / swept["seconds"],
        "told": told,
        "cores": cores,
        "course": course.tenths(),
        "early_rss": memory.early,
        "most_rss": memory.most,
        **latencies,
    }


async def _measured(
    system: System, client: httpx.AsyncClient, kept: Sequence[JobId], what: Awaitable[Any]
) -> tuple[dict[str, float], list[float]]:
    """Until `what` is over: how many cores each process has used, and the API's latencies."""
    began, before = time.perf_counter(), used(system, _SERVICES)
    took = await _Load(client, kept).during(what)
    return shares(before, used(system, _SERVICES), time.perf_counter() - began), took


async def _sweep(client: httpx.AsyncClient) -> dict[str, Any]:
    """Ask for it, and wait for the report."""
    answer = await client.post("/api/v1/admin/cleanup", params={"wait": 0}, json={"duties": ["expire"]})
    assert answer.is_success, answer.text
    where = f"/api/v1/admin/cleanup/{answer.json()['id']}"
    while not (found := (await client.get(where)).json())["reports"]:  # noqa: ASYNC110 - another process works
        await asyncio.sleep(0.5)
    [swept] = found["reports"]
    assert swept["error"] is None, swept
    assert isinstance(swept, dict)
    return swept


async def _published(pool: Pool) -> float:
    """Seconds until the outbox is empty."""
    began = time.perf_counter()
    while await pool.fetchval("select exists (select from outbox)"):  # noqa: ASYNC110 - other processes publish
        await asyncio.sleep(0.1)
    return time.perf_counter() - began


class _Load:
    """Requests at a steady rate, however long answers take: each is timed from when it was to be made."""

    def __init__(self, client: httpx.AsyncClient, jobs: Sequence[JobId]) -> None:
        self._client = client
        self._jobs = jobs
        self._took: list[float] = []

    async def during(self, what: Any) -> list[float]:
        """The latencies in milliseconds until `what` is over."""
        task = asyncio.ensure_future(what)
        began, count = time.perf_counter(), 0
        async with asyncio.TaskGroup() as group:
            while not task.done():
                due = began + count / _REQUESTS_PER_SECOND
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                group.create_task(self._ask(count, due))
                count += 1
        return self._took

    async def _ask(self, number: int, due: float) -> None:
        path = "/api/v1/jobs?limit=20" if number % 5 == 0 else f"/api/v1/jobs/{self._jobs[number % len(self._jobs)]}"
        answer = await self._client.get(path)
        assert answer.status_code == 200, answer.text
        self._took.append((time.perf_counter() - due) * 1000)


class _Memory:
    """The resident set of a process: the most of its first seconds' tenth, and of all."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._samples: list[int] = []

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._sample())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    @property
    def early(self) -> int:
        return max(self._samples[: max(1, len(self._samples) // 10)])

    @property
    def most(self) -> int:
        return max(self._samples)

    async def _sample(self) -> None:
        while True:
            self._samples.append(self._process.memory_info().rss)
            await asyncio.sleep(0.1)


async def _fill(system: System, pool: Pool, jobs: int, *, stays: bool = False) -> list[JobId]:
    """So many jobs that are due (or not, if they shall stay), with a recording and a transcript each."""
    filer = f"http://127.0.0.1:{system.stack.seaweedfs.private.port('filer')}/buckets/{system.environment['S3_BUCKET']}"
    now = datetime.now(UTC)
    made: list[JobId] = []
    began = time.perf_counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_AT_ONCE)) as http:
        for start in range(0, jobs, _ROWS):
            numbers = range(start, min(start + _ROWS, jobs))
            rows = [(JobId(ids.new()), LeaseToken(ids.new()), number) for number in numbers]
            keys = iter([key for job_id, lease, _ in rows for key in (source_key(job_id), transcript_key(job_id, lease))])
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(_put(http, filer, keys))
            records = [_row(job_id, lease, now + timedelta(milliseconds=number - jobs), stays=stays) for job_id, lease, number in rows]
            async with pool.acquire() as connection:
                await connection.copy_records_to_table("jobs", records=records, columns=_COLUMNS, timeout=300)
            made += [job_id for job_id, _, _ in rows]
            print(f"\r{numbers[-1] + 1:,} jobs written in {time.perf_counter() - began:.0f} s", end="", flush=True)
    print()
    async with pool.acquire() as connection:
        await connection.execute("vacuum analyze jobs", timeout=1_800)
        await connection.execute("checkpoint", timeout=600)
    return made


async def _put(http: aiohttp.ClientSession, filer: str, keys: Iterator[str]) -> None:
    """Small objects, as the store's own client would write them: behind S3, which would take most of the time to sign for."""
    for key in keys:
        async with http.put(f"{filer}/{key}", data=b"{}") as answer:
            assert answer.status < 300, await answer.text()


def _row(job_id: UUID, lease: UUID, due: datetime, *, stays: bool) -> tuple[Any, ...]:
    source = {"filename": "call.mp3", "content_type": "audio/mpeg", "size": 2, "sha256": "0" * 64, "kind": "audio"}
    stored = {"size": 2, "sha256": "0" * 64}
    result = {
        "bucket": "verbatim",
        "keys": {"transcript": transcript_key(JobId(job_id), LeaseToken(lease))},
        "objects": {"transcript": stored},
        "language": "en",
        "duration": 60.0,
        "speakers": 2,
    }
    ended = due if stays else due - _RETENTION
    times = (ended, ended, ended, ended, ended + _RETENTION)
    return (job_id, "default", "completed", 1, {}, source, _RETENTION, 1, 3, result, 100.0, *times, 60.0, True)


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[-1]


def _both(rounds: Sequence[dict[str, Any]], which: str) -> str:
    return "  ".join(f"{statistics.median(each[which]):.1f} / {_p99(each[which]):.1f}" for each in rounds)


def _told(values: list[float]) -> dict[str, float]:
    return {"count": len(values), "p50": statistics.median(values), "p99": _p99(values), "most": max(values)}
