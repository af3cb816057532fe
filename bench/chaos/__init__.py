"""`./run bench chaos --minutes N --seed S`: tries to lose, duplicate or leak a job, and shows that it fails at it.

Clients submit, cancel, delete and let expire, receivers of webhooks fail, and meanwhile services are killed, stopped and restarted, servers
go away one by one and together, queues are purged and deleted, networks are cut and slow, the store errs. The engine is a stub whose
transcript is the recording's digest; everything else is as it is deployed, two ingests and two transcribers of it. First all services are
restarted one by one, which no client may notice. In the end everything is left alone until it has come to rest, and then the verdict is
told from what clients, receivers and another system on the broker have heard.

The seed decides load and faults. What falls between two instructions is for the machine to decide, so a run is alike and not the same.
"""

import argparse
import asyncio
import contextlib
import logging
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

from bench._system import report
from bench.chaos import faults, place, verdict
from bench.chaos.client import Clients
from bench.chaos.place import Place
from bench.chaos.receiver import receiving
from bench.chaos.tap import tapping
from bench.chaos.verdict import Finding
from deploy.local.service import REPOSITORY

ROOT = REPOSITORY / ".verbatim" / "chaos"
_REST_SECONDS = 150
_SHOWN = 5


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="./run bench chaos")
    parser.add_argument("--minutes", type=float, default=3, help="of faults; a start and a rest are added")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=6, help="at once")
    options = parser.parse_args(arguments)
    logging.disable()  # libraries tell of every connection that is lost
    findings, figures = asyncio.run(_run(options.minutes, options.seed, options.clients))
    rows = [
        ("what must be so", "looked at", "wrong"),
        *((finding.what, str(finding.looked_at), str(len(finding.wrong)) if finding.wrong else "none") for finding in findings),
    ]
    report("chaos", rows, {"seed": options.seed, "minutes": options.minutes, **figures, "wrong": {one.what: one.wrong for one in findings}})
    for finding in findings:
        for each in finding.wrong[:_SHOWN]:
            print(f"✗ {finding.what}: {each}")
    if any(finding.wrong for finding in findings):
        sys.exit(1)


async def _run(minutes: float, seed: int, count: int) -> tuple[list[Finding], dict[str, object]]:
    async with place.opened(ROOT) as system, tapping(system.stack.amqp_url) as tap:
        chance = random.Random(seed)  # noqa: S311 - makes trouble, guards nothing
        async with receiving(system.webhook_secrets, chance) as receiver:
            clients = Clients(system.url, receiver, seed)
            crowd = [asyncio.create_task(clients.run(), name=f"client-{number}") for number in range(count)]
            try:
                await clients.warm.wait()
                before = verdict.handles(system)
                rolled = await _roll(system, clients)
                breaking = faults.Faults(system, chance)
                await _break(breaking, minutes)
                await system.ready()
                clients.stopping.set()
                began = time.monotonic()
                async with asyncio.timeout(_REST_SECONDS):
                    await asyncio.gather(*crowd)
                await _rest(system, clients, began + _REST_SECONDS)
                print(f"at rest after {time.monotonic() - began:.0f} s", flush=True)
                await asyncio.sleep(1)  # for the tap to hear the last event, which is published already
                findings = [
                    rolled,
                    verdict.of_answers(clients),
                    *verdict.of_jobs(clients.jobs),
                    *verdict.of_events(clients.jobs, tap),
                    *verdict.of_webhooks(clients.jobs, tap, receiver),
                    *await verdict.of_remains(system, clients.jobs),
                    await verdict.of_queues(system),
                    *await verdict.of_leaks(system, before),
                ]
            finally:
                for client in crowd:
                    client.cancel()
                await asyncio.gather(*crowd, return_exceptions=True)
                await clients.close()
    figures = {
        "jobs": len(clients.jobs),
        "requests": clients.requests,
        "failed_requests": clients.failed_requests,
        "webhook_requests": receiver.requests,
        "events_repeated": tap.repeated,
        "faults": breaking.done,
    }
    return findings, figures


async def _roll(system: Place, clients: Clients) -> Finding:
    before, requests = clients.failed_requests.copy(), clients.requests
    await faults.roll(system)
    failed = clients.failed_requests - before
    return Finding(
        "a rolling restart failed no request", clients.requests - requests, [f"{count} x {what}" for what, count in failed.items()]
    )


async def _break(breaking: faults.Faults, minutes: float) -> None:
    over = asyncio.Event()
    task = asyncio.create_task(breaking.run(over), name="faults")
    await asyncio.wait({task}, timeout=minutes * 60)
    over.set()
    await task


async def _rest(system: Place, clients: Clients, deadline: float) -> None:
    """Until every job has come to its end and nothing waits to be published or delivered."""
    room = asyncio.Semaphore(8)

    async def settle(number: int) -> None:
        async with room:
            job = clients.jobs[number]
            await clients.settle(job, deadline)
            if job.status == "completed" and not job.deleted and not job.read:
                await clients.check(job)

    await asyncio.gather(*(settle(number) for number in range(len(clients.jobs))))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(deadline - time.monotonic(), 1)):
            await _until(lambda: verdict.idle(system))


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    while True:
        if await condition():
            return
        await asyncio.sleep(0.2)
