"""`./run bench api`: reading, listing, watching and uploading, each at the size at which it would hurt.

Requests a second are those of one ingest process on a core of its own (client and Postgres share another), in turns with an empty Litestar
handler on the same core, and with another ingest process that has a database of a million jobs.
There pages are timed by Postgres itself (planning and execution), with every kind of filter.
"""

import argparse
import asyncio
import os
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import msgspec
import psutil

from bench import watch
from bench._load import LAST_CORE, pin, requests_per_second
from bench._system import PeakMemory, System, report, running
from common import ids
from common.database import Connection, Pool, connect
from common.ids import JobId
from common.jobs import listing
from common.jobs.job import Status
from common.jobs.listing import Filters, Place
from tests.recordings import wav

_MIB = 2**20
_ROUNDS = 5
_SECONDS = 5.0
_PAGES = 200
_TENANT = "default"

# Of a hundred jobs one is queued, one processing, two failed, the others completed; each has one of three desks and a call of its own.
_JOBS = """
insert into jobs (id, tenant, status, priority, options, source, retention, max_attempts, attempt, result, error, created_at, queued_at,
                  band, turn, duration, band_since, lease_token, lease_until, finished_at, expires_at)
select gen_random_uuid(), case when n % 10 = 0 then 'tenant ' || n % 50 else $1 end, status, 1,
       jsonb_build_object('metadata', jsonb_build_object('desk', (n % 3)::text, 'call', n::text)),
       '{"filename": "a.wav", "content_type": "audio/wav", "size": 1, "sha256": "c", "kind": "audio"}', '1 day', 3, 1,
       '{"bucket": "b", "keys": {}, "language": "en", "duration": 1, "speakers": 1}',
       case when status = 'failed' then '{"code": "c", "message": "m", "retryable": false}'::jsonb end,
       now() - n * interval '1 second', now() - n * interval '1 second', 1, n, 60, now(),
       case when status = 'processing' then gen_random_uuid() end,
       case when status = 'processing' then now() + interval '1 day' end,
       case when status in ('completed', 'failed') then now() end,
       case when status in ('completed', 'failed') then now() + interval '1 day' end
from (
    select n, (case n % 100 when 1 then 'queued' when 2 then 'processing' when 3 then 'failed' when 4 then 'failed' else 'completed' end
              )::job_status as status
    from generate_series(1, $2::int) n
) numbered
"""


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="./run bench api")
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--watchers", type=int, default=500)
    parser.add_argument("--uploads", type=int, default=64)
    parser.add_argument("--upload-mb", type=int, default=50)
    options = parser.parse_args(arguments)
    asyncio.run(_run(options.jobs, options.watchers, options.uploads, options.upload_mb))


async def _run(jobs: int, watchers: int, uploads: int, upload_mb: int) -> None:
    async with running("ingest") as system:
        sent = await _upload(system, uploads, upload_mb)
    async with running("ingest") as system:
        seen = await watch.measure(system, watchers)
    async with running("ingest") as system, _another(system) as crowded:
        urls = {"few": await _submitted(system), "many": await _submitted(crowded)}
        async with connect(crowded.environment["DATABASE_URL"], name="bench") as pool:
            await _crowd(pool, jobs)
            rates = await _read(system, crowded, urls)
            pages = await _list(pool, jobs)
    ratio = _median_ratio(rates["few"], rates["nothing"])
    grown = _median_ratio(rates["many"], rates["few"])
    worst = max(pages, key=lambda name: pages[name])
    rows = [
        ("one ingest process, one core", "measured", "wanted"),
        ("empty Litestar handler, requests/s", f"{statistics.median(rates['nothing']):.0f}", ""),
        ("GET /jobs/{id}, requests/s", f"{statistics.median(rates['few']):.0f}", ""),
        ("GET /jobs/{id} / empty handler", f"{ratio:.2f}", ">= 0.4"),
        (f"GET /jobs/{{id}} with {jobs:,} jobs / with one", f"{grown:.2f}", ">= 0.9"),
        (f"page with {jobs:,} jobs, worst filter ({worst}), p99 ms", f"{pages[worst]:.1f}", "<= 20"),
        (f"{watchers} watchers, last final event after commit, s", f"{seen['seconds'][-1]:.3f}", "<= 1"),
        (f"{watchers} watchers, peak RSS, MiB", f"{seen['peak_rss_mib']:.0f}", "<= 190 (200 MB)"),
        (f"{uploads} uploads of {upload_mb} MB at once, accepted", f"{sent['accepted']}", f"{uploads}"),
        (f"{uploads} uploads of {upload_mb} MB at once, peak RSS, MiB", f"{sent['peak_rss_mib']:.0f}", "<= 381 (400 MB)"),
    ]
    report("api", rows, {"jobs": jobs, "requests_per_second": rates, "page_p99_ms": pages, "watch": seen, "uploads": sent})


@asynccontextmanager
async def _another(system: System) -> AsyncIterator[System]:
    """Another ingest process, on a database of its own in the same Postgres."""
    url = urlsplit(system.environment["DATABASE_URL"])._replace(path="/crowded").geturl()
    async with connect(system.environment["DATABASE_URL"], name="bench") as pool, pool.acquire() as connection:
        await connection.execute("create database crowded")
    async with system.beside("ingest", {"DATABASE_URL": url}) as crowded:
        yield crowded


async def _crowd(pool: Pool, jobs: int) -> None:
    async with pool.acquire() as connection:
        await connection.execute("set statement_timeout = 0")
        await connection.execute(_JOBS, _TENANT, jobs, timeout=1_800)
        await connection.execute("vacuum analyze jobs", timeout=1_800)
        await connection.execute("checkpoint", timeout=600)


async def _read(system: System, crowded: System, jobs: dict[str, str]) -> dict[str, list[float]]:
    """Requests a second, in turns: nothing, a job that is alone, and one among many."""
    for one in (system, crowded):
        pin(one.process("ingest"), 0)
    for server in _postgres(system):
        pin(server, LAST_CORE)
    rates: dict[str, list[float]] = {"nothing": [], "few": [], "many": []}
    async with _empty() as (empty, server):
        pin(server, 0)
        urls = {"nothing": empty, **jobs}
        for _ in range(_ROUNDS):
            for name, url in urls.items():
                rates[name].append(await requests_per_second(url, seconds=_SECONDS))
    return rates


def _postgres(system: System) -> list[psutil.Process]:
    pid = system.stack.postgres.process.pid
    assert pid is not None
    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def _median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


async def _list(pool: Pool, jobs: int) -> dict[str, float]:
    """Milliseconds in Postgres of the 99th of a hundred pages, for each kind of filter; places and values differ from page to page."""
    async with pool.acquire() as connection:
        return {name: await _p99(connection, name, jobs) for name in _filters(0, jobs)}


def _filters(number: int, jobs: int) -> dict[str, tuple[Filters, Place | None]]:
    """The `number`-th variant of every kind."""
    now = datetime.now(UTC)
    there = now - timedelta(seconds=(number * 7_919) % jobs)
    place = Place(there, JobId(ids.new()))
    hour_before = there - timedelta(hours=1)
    calls = {"call": str((number * 104_729) % jobs)}
    desk = {"desk": str(number % 3)}
    statuses = {f"status {each}": (Filters(status=each), place) for each in Status}
    return {
        "none": (Filters(), place),
        **statuses,
        "times": (Filters(created_after=hour_before, created_before=there), None),
        "status and times": (Filters(status=Status.FAILED, created_after=hour_before, created_before=there), None),
        "common metadata": (Filters(metadata=desk), place),
        "one's own metadata": (Filters(metadata=calls), None),
        "absent metadata": (Filters(metadata={"call": "none"}), place),
        "all": (Filters(status=Status.COMPLETED, metadata=desk, created_before=there), place),
    }


async def _p99(connection: Connection, name: str, jobs: int) -> float:
    took: list[float] = []
    for number in range(_PAGES):
        filters, after = _filters(number, jobs)[name]
        sql, arguments = listing.statement(_TENANT, filters, after=after, limit=51)
        async with connection.transaction(readonly=True):
            await connection.execute(listing.SQL["plan_for_these_values"])
            answer = await connection.fetchval(f"explain (analyze, timing off, format json) {sql}", *arguments)
        [plan] = msgspec.json.decode(answer)
        took.append(plan["Planning Time"] + plan["Execution Time"])
    return statistics.quantiles(took, n=100)[-1]


async def _submitted(system: System) -> str:
    async with httpx.AsyncClient(base_url=system.url("ingest")) as client:
        answer = await client.post("/api/v1/jobs", files={"file": ("a.wav", wav(bytes(32_000)))})
        assert answer.status_code == 202, answer.text
        identity = answer.json()["id"]
        cancelled = await client.post(f"/api/v1/jobs/{identity}/cancel")
        assert cancelled.status_code == 200, cancelled.text
    return f"{system.url('ingest')}/api/v1/jobs/{identity}"


@asynccontextmanager
async def _empty() -> AsyncIterator[tuple[str, psutil.Process]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench._empty_app", str(port))
    url = f"http://127.0.0.1:{port}/{uuid4()}"
    try:
        async with httpx.AsyncClient() as client:
            await _until_answered(client, url)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()


async def _until_answered(client: httpx.AsyncClient, url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            await client.get(url)
        except httpx.ConnectError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            return


async def _upload(system: System, count: int, megabytes: int) -> dict[str, Any]:
    """All at once, each on a connection of its own, from one client process."""
    limits = httpx.Limits(max_connections=count)
    async with (
        PeakMemory(system.process("ingest")) as memory,
        httpx.AsyncClient(base_url=system.url("ingest"), limits=limits, timeout=600) as client,
    ):
        began = time.perf_counter()
        answers = await asyncio.gather(*[_post(client, megabytes) for _ in range(count)])
        seconds = time.perf_counter() - began
    return {
        "accepted": sum(answer == 202 for answer in answers),
        "megabytes_per_second": count * megabytes / seconds,
        "peak_rss_mib": memory.bytes / _MIB,
    }


async def _post(client: httpx.AsyncClient, megabytes: int) -> int:
    head = b'--bench\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + wav(b"")
    block = os.urandom(1_000_000)

    def body() -> Iterator[bytes]:
        yield head
        for _ in range(megabytes):
            yield block
        yield b"\r\n--bench--\r\n"

    async def streamed() -> AsyncIterator[bytes]:
        for chunk in body():
            yield chunk

    answer = await client.post("/api/v1/jobs", content=streamed(), headers={"Content-Type": "multipart/form-data; boundary=bench"})
    return answer.status_code
