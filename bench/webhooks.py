"""`./run bench webhooks`: deliveries to many endpoints of which some hang; how long the others take to get theirs, alone and beside those.

Both are measured in one run on the same system, alone and together by turns, so that what is told is a ratio. The receivers are a process
of their own: one server, that answers at once on one path and never on another. Each endpoint is a lane of its own, whatever its host.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import asyncpg
import msgspec

from bench import _cpu
from bench._system import System, report, running
from common import ids
from common.database import Connection, Pool, connect
from common.due import Due

_WANTED = 0.8
_BODY = b'{"type":"job.completed","timestamp":"2026-03-02T09:30:09.731266Z","version":"1","data":{}}'
_TENANTS = 5
_LIMIT_SECONDS = 300.0
_LOOK_SECONDS = 0.05
_COUNTED = ("notifier", "postgres", "rabbitmq")


class Delivered(msgspec.Struct, frozen=True):
    """Seconds from the commit that makes all due until what can be is delivered; requests that hung meanwhile, at most; CPU seconds."""

    seconds: float
    hung: int
    used: dict[str, float]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="./run bench webhooks")
    parser.add_argument("--deliveries", type=int, default=10_000, help="to all endpoints together")
    parser.add_argument("--endpoints", type=int, default=100)
    parser.add_argument("--hanging", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="1,000 deliveries, one round")
    options = parser.parse_args(arguments)
    if options.small:
        options.deliveries, options.rounds = 1_000, 1
    asyncio.run(_run(options))


async def _run(options: argparse.Namespace) -> None:
    each = options.deliveries // options.endpoints
    healthy = options.endpoints - options.hanging
    async with (
        _receivers() as url,
        running("notifier") as system,
        connect(system.environment["DATABASE_URL"], name="bench") as pool,
    ):
        rounds = [await _round(system, pool, url, healthy, options.hanging, each) for _ in range(options.rounds)]
    ratio = statistics.median(found["alone"].seconds / found["beside"].seconds for found in rounds)
    rows = [
        (f"{healthy} endpoints, {each} deliveries each", "measured", "wanted"),
        ("seconds alone", " ".join(f"{found['alone'].seconds:.1f}" for found in rounds), ""),
        (f"seconds beside {options.hanging} that hang", " ".join(f"{found['beside'].seconds:.1f}" for found in rounds), ""),
        ("as fast as alone (median of rounds)", f"{ratio:.2f}", f">= {_WANTED}"),
        *(
            (f"CPU seconds of {name} {which}", " ".join(f"{found[which].used[name]:.1f}" for found in rounds), "")
            for name in _COUNTED
            for which in ("alone", "beside")
        ),
        ("deliveries a second alone", f"{healthy * each / statistics.median(found['alone'].seconds for found in rounds):.0f}", ""),
        ("requests that hung at once, at most", f"{max(found['beside'].hung for found in rounds)}", ""),
    ]
    figures = {"deliveries": options.deliveries, "endpoints": options.endpoints, "ratio": ratio, "rounds": msgspec.to_builtins(rounds)}
    report("webhooks", rows, figures)


async def _round(system: System, pool: Pool, url: str, healthy: int, hanging: int, each: int) -> dict[str, Delivered]:
    async with aiohttp.ClientSession(url) as receivers:
        alone = await _deliver(system, pool, receivers, [f"{url}/at-once"] * healthy, each)
        beside = await _deliver(system, pool, receivers, [f"{url}/at-once"] * healthy + [f"{url}/never"] * hanging, each)
    return {"alone": alone, "beside": beside}


async def _deliver(system: System, pool: Pool, receivers: aiohttp.ClientSession, urls: Sequence[str], each: int) -> Delivered:
    """Have all be delivered that can be. The receivers count: a bench that asked Postgres all the time would measure itself."""
    async with pool.acquire() as connection, connection.transaction():
        endpoints = [await _endpoint(connection, number, url) for number, url in enumerate(urls)]
        rows = [(ids.new(), endpoint, url) for _ in range(each) for endpoint, url in zip(endpoints, urls, strict=True)]
        await connection.executemany(
            "insert into deliveries (id, event_id, event_type, endpoint_id, endpoint, lane, body)"
            " values ($1, $1, 'job.completed', $2, $3, lane_of($2, '', ''), $4)",
            [(delivery, endpoint, url, _BODY) for delivery, endpoint, url in rows],
        )
        await connection.executemany(
            "insert into outbox (event_id, type, source, subject, body) values ($1, 'delivery.due', '/verbatim', $2, $3)",
            [(delivery, f"endpoint/{endpoint}", msgspec.json.encode(Due(delivery, 1))) for delivery, endpoint, _ in rows],
        )
    before, started = _cpu.used(system, ["notifier"]), time.perf_counter()
    wanted, answered, recorded, hung = each * sum(url.endswith("/at-once") for url in urls), 0, 0, 0
    while recorded < wanted:
        await asyncio.sleep(_LOOK_SECONDS)
        async with receivers.get("/counts") as response:
            counts = await response.json()
        answered, hung = counts["answered"], max(hung, counts["hung"])
        if answered >= wanted:
            recorded = await pool.fetchval("select count(*) from deliveries where state = 'delivered'")
        assert time.perf_counter() - started < _LIMIT_SECONDS, f"{answered} of {wanted} delivered"
    seconds, after = time.perf_counter() - started, _cpu.used(system, ["notifier"])
    await _forget(pool)
    await receivers.post("/release")  # or they would take up slots in the next round
    return Delivered(seconds, hung, {name: after[name] - before[name] for name in _COUNTED})


async def _forget(pool: Pool) -> None:
    """All of it; again, where claims that are under way are in the way."""
    while True:
        try:
            await pool.execute("truncate outbox, endpoints, lanes cascade")
        except asyncpg.DeadlockDetectedError:
            continue
        return


async def _endpoint(connection: Connection, number: int, url: str) -> Any:
    """One of several tenants, with a secret of its own."""
    endpoint, tenant = ids.new(), f"bench {number % _TENANTS}"
    await connection.execute(
        "insert into endpoints (id, tenant, url, events, description) values ($1, $2, $3, '{job.completed}', '')", endpoint, tenant, url
    )
    await connection.execute(
        "insert into webhook_secrets (id, tenant, endpoint_id, secret) values ($1, $2, $3, $4)",
        ids.new(),
        tenant,
        endpoint,
        "whsec_bm90IGEgc2VjcmV0IGJ1dCBsb25nIGVub3VnaCBmb3I=",
    )
    return endpoint


@asynccontextmanager
async def _receivers() -> AsyncIterator[str]:
    """Their URL."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench._receivers", stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        process.terminate()
        await process.wait()
