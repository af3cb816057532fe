"""`./run bench watch`: many server-sent event streams on one ingest process, and how long after the commit the last has the final event.

Half of the watchers share one job, the others have a job each; all jobs end in one transaction. The watchers are bare sockets in this
process, so that what is measured is ingest.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from bench._system import PeakMemory, System, report, running
from common import ids
from common.database import Connection, connect
from common.ids import JobId, LeaseToken
from common.jobs import store
from common.jobs.job import Job, Result, Source
from common.jobs.options import Options

_WANTED_SECONDS = 1.0
_WANTED_RSS = "190 (200 MB)"
_MIB = 2**20
_HOUR = timedelta(hours=1)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="./run bench watch")
    parser.add_argument("--watchers", type=int, default=500)
    options = parser.parse_args(arguments)
    asyncio.run(_run(options.watchers))


async def _run(watchers: int) -> None:
    async with running("ingest") as system:
        seen = await measure(system, watchers)
    seconds = seen["seconds"]
    rows = [
        (f"{watchers} watchers, {seen['jobs']} jobs", "measured", "wanted"),
        ("median seconds from commit to final event", f"{statistics.median(seconds):.3f}", ""),
        ("the last of them", f"{seconds[-1]:.3f}", f"<= {_WANTED_SECONDS:.0f}"),
        ("ingest's CPU seconds for it", f"{seen['cpu_seconds']:.2f}", ""),
        ("ingest's RSS before, MiB", f"{seen['rss_mib']:.0f}", ""),
        ("ingest's peak RSS, MiB", f"{seen['peak_rss_mib']:.0f}", f"<= {_WANTED_RSS}"),
    ]
    report("watch", rows, seen)


async def measure(system: System, watchers: int) -> dict[str, Any]:
    """`seconds` from the commit to each watcher's final event, in order; what it cost ingest."""
    alone = watchers // 2
    process = system.process("ingest")
    before = process.memory_info().rss / _MIB
    async with connect(system.environment["DATABASE_URL"], name="bench") as pool:
        async with pool.acquire() as connection:
            jobs = [await _processing(connection) for _ in range(alone + 1)]
        watched = [*jobs[1:], *[jobs[0]] * (watchers - alone)]
        async with PeakMemory(process) as memory:
            begun = asyncio.Semaphore(0)
            streams = [asyncio.create_task(_watch(system.url("ingest"), job, begun)) for job in watched]
            for _ in streams:
                await begun.acquire()
            cpu = sum(process.cpu_times()[:2])
            async with pool.acquire() as connection, connection.transaction():
                for job in jobs:
                    assert await store.finish(connection, job, _RESULT)
            committed = time.perf_counter()
            seconds = sorted(ended - committed for ended in await asyncio.gather(*streams))
            cpu = sum(process.cpu_times()[:2]) - cpu
    return {
        "watchers": watchers,
        "jobs": len(jobs),
        "seconds": seconds,
        "cpu_seconds": cpu,
        "rss_mib": before,
        "peak_rss_mib": memory.bytes / _MIB,
    }


_RESULT = Result(bucket="bench", keys={"transcript": "results/a/b/transcript.json"}, language="en", duration=1, speakers=0)


async def _processing(connection: Connection) -> Job:
    """A job that a worker has, as ingest and a transcriber would make it."""
    source = Source(filename="a.wav", content_type="audio/wav", size=1, sha256="", kind="audio")
    await store.create(
        connection,
        job_id=JobId(ids.new()),
        tenant="default",
        options=Options(),
        source=source,
        retention=_HOUR,
        max_attempts=3,
        trace=None,
    )
    job = await store.claim(connection, LeaseToken(ids.new()), lease=_HOUR, worker="bench")
    assert job is not None
    return job


async def _watch(url: str, job: Job, begun: asyncio.Semaphore) -> float:
    """The moment at which the final event was there."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(f"GET /api/v1/jobs/{job.id}/events HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        await reader.readuntil(b"\ndata: ")
        begun.release()
        await reader.readuntil(b'"final":true')
        return time.perf_counter()
    finally:
        writer.close()
