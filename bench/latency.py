"""`./run bench latency`: from the commit of an event to its consumer, and from a job's completion to the receipt of its webhook."""

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from datetime import timedelta

import aio_pika
from aiohttp import web

from bench._system import System, report, running
from common import ids, outbox
from common.database import Pool, connect
from common.ids import JobId, LeaseToken
from common.jobs import store
from common.jobs.job import Result, Source
from common.jobs.options import Options

_COMMIT_MS = 20
_WEBHOOK_MS = 50


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="./run bench latency")
    parser.add_argument("--times", type=int, default=200)
    options = parser.parse_args(arguments)
    asyncio.run(_run(options.times))


async def _run(times: int) -> None:
    async with running("ingest", "notifier", "janitor") as system, connect(system.environment["DATABASE_URL"], name="bench") as pool:
        consumer = await _commit_to_consumer(system, pool, times)
        webhook = await _completion_to_webhook(pool, times)
    rows = [("milliseconds", "p50      p95", "p50 wanted"), _row("commit to consumer", consumer, _COMMIT_MS)]
    rows.append(_row("completion to webhook receipt", webhook, _WEBHOOK_MS))
    figures = {name: {"p50": statistics.median(values), "all": values} for name, values in (("consumer", consumer), ("webhook", webhook))}
    report("latency", rows, {"times": times, **figures})


async def _commit_to_consumer(system: System, pool: Pool, times: int) -> list[float]:
    """Milliseconds from the return of the commit to the message in a consumer's hands."""
    connection = await aio_pika.connect(system.environment["AMQP_URL"])
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("verbatim.events", "bench.ping")
        found = []
        async with queue.iterator() as messages:
            for _ in range(times):
                async with pool.acquire() as database:
                    await outbox.add(database, "bench.ping", subject="bench", data=b"{}")
                committed = time.perf_counter()
                message = await anext(messages)
                found.append((time.perf_counter() - committed) * 1000)
                await message.ack()
        return found


async def _completion_to_webhook(pool: Pool, times: int) -> list[float]:
    """Milliseconds from the return of the finishing commit to the request at the receiver."""
    received: asyncio.Queue[float] = asyncio.Queue()

    async def handle(request: web.Request) -> web.Response:
        received.put_nowait(time.perf_counter())
        await request.read()
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    options = Options(webhook_url=f"http://127.0.0.1:{runner.addresses[0][1]}/hook")
    try:
        found = []
        for _ in range(times):
            committed = await _complete_job(pool, options)
            found.append((await asyncio.wait_for(received.get(), 10) - committed) * 1000)
        return found
    finally:
        await runner.cleanup()


async def _complete_job(pool: Pool, options: Options) -> float:
    """Make a job and finish it, as ingest and a transcriber would; returns the moment after the finishing commit."""
    source = Source(filename="a.wav", content_type="audio/wav", size=1, sha256="", kind="audio")
    result = Result(bucket="bench", keys={"transcript": "results/a/b/transcript.json"}, language="en", duration=1, speakers=0)
    async with pool.acquire() as database:
        await store.create(
            database,
            job_id=JobId(ids.new()),
            tenant="bench",
            options=options,
            source=source,
            retention=timedelta(hours=1),
            max_attempts=3,
            trace=None,
        )
        job = await store.claim(database, LeaseToken(ids.new()), lease=timedelta(minutes=1), worker="bench")
        assert job is not None
        await store.finish(database, job, result)
        return time.perf_counter()


def _row(name: str, values: list[float], wanted: float) -> tuple[str, str, str]:
    return name, f"{statistics.median(values):6.1f}  {statistics.quantiles(values, n=20)[-1]:6.1f}", f"<= {wanted}"
