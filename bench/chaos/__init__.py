"""`./run bench chaos --minutes N --seed S`: tries to lose, duplicate or leak a job, and shows that it fails at it.

Clients submit, cancel, delete and let expire, receivers of webhooks fail, and meanwhile everything goes wrong that `faults` knows of. The
engine is a stub whose transcript is the recording's digest; all else is as it is deployed, two ingests and two transcribers of it. First
all services are restarted one by one, which no client may notice. After the faults each process is counted at rest, and once more when it
has lived through others that end none. In the end everything is left alone until it has come to rest, and then the verdict is told from
what clients, receivers and another system on the broker have heard, and from what is left behind.

The seed decides every job, the sequence of faults with their targets and durations, what receivers do wrong, and which recordings the
engine stumbles over, each by itself. What falls between two instructions is for the machine to decide: a run is alike and not the same.
"""

import argparse
import asyncio
import itertools
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench._system import report
from bench.chaos import leaks, place, remains, verdict
from bench.chaos.client import KINDS, Clients, Kind
from bench.chaos.faults import FATAL, Faults, links, roll
from bench.chaos.leaks import Held, Process
from bench.chaos.place import SERVERS, Place
from bench.chaos.receiver import TROUBLE, receiving
from bench.chaos.strike import Strike, strikes
from bench.chaos.tap import tapping
from bench.chaos.verdict import Finding
from deploy.local.service import REPOSITORY
from deploy.local.stack import Stack

ROOT = REPOSITORY / ".verbatim" / "chaos"
_REST_SECONDS = 240
_WARM = 12  # jobs after which everything is open and loaded that stays so
_MORE = 24  # jobs between two counts of what is held
_SHOWN = 5


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`seconds` of faults; None: until each has happened once. `faults`: which, by name; None: all. `jobs`: the kinds and their weights."""

    seed: int
    seconds: float | None
    clients: int = 6
    faults: Sequence[str] | None = None
    jobs: Mapping[Kind, int] = msgspec.field(default_factory=lambda: KINDS)


class Outcome(msgspec.Struct, frozen=True):
    findings: list[Finding]
    figures: dict[str, Any]

    @property
    def wrong(self) -> dict[str, list[str]]:
        return {finding.what: finding.wrong for finding in self.findings if finding.wrong}


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="./run bench chaos")
    parser.add_argument("--minutes", type=float, default=3, help="of faults; a start and a rest are added")
    parser.add_argument("--once", action="store_true", help="each fault once, however long that takes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=6, help="at once")
    parser.add_argument("--only", nargs="+", help="these faults, by name")
    parser.add_argument("--jobs", nargs="+", choices=KINDS, default=list(KINDS), help="what clients do; what is to expire takes a minute")
    options = parser.parse_args(arguments)
    logging.disable()  # libraries tell of every connection that is lost
    seconds = None if options.once else options.minutes * 60
    kinds = {kind: weight for kind, weight in KINDS.items() if kind in options.jobs}
    plan = Plan(seed=options.seed, seconds=seconds, clients=options.clients, faults=options.only, jobs=kinds)
    place.clear(ROOT)
    with Stack(ROOT, environ={}, durable=False) as stack:
        outcome = asyncio.run(run(stack, ROOT, plan))
    rows = [
        ("what must be so", "looked at", "wrong"),
        *((finding.what, str(finding.looked_at), str(len(finding.wrong)) if finding.wrong else "none") for finding in outcome.findings),
    ]
    report("chaos", rows, {"seed": options.seed, "minutes": options.minutes, **outcome.figures, "wrong": outcome.wrong})
    for what, wrong in outcome.wrong.items():
        for each in wrong[:_SHOWN]:
            print(f"✗ {what}: {each}")
    if outcome.wrong:
        sys.exit(1)


async def run(stack: Stack, root: Path, plan: Plan) -> Outcome:
    """All of it, on a stack that nobody has used yet, in an empty directory."""
    async with (
        receiving(plan.seed, TROUBLE) as receiver,
        place.opened(stack, root, receiver_port=receiver.port) as system,
        tapping(system.stack.amqp_url) as tap,
    ):
        receiver.secrets = system.webhook_secrets
        faults = Faults(system)
        log = _Log(system)
        async with Clients(system.url, system.webhook_url, receiver, seed=plan.seed, kinds=plan.jobs) as clients:
            async with clients.at_work(plan.clients):
                rolled = await _roll(system, clients)
                await _break(faults, _drawn(plan, faults, system), log.telling(clients), plan.seconds)
                await system.ready()
            before = await _held(system, clients, plan)
            async with clients.at_work(plan.clients):
                await _break(faults, _gentle(plan, faults, system), log.telling(clients), None)
                await clients.submitted(_MORE)
                await system.ready()
            await clients.settle_all(time.monotonic() + _REST_SECONDS)
            await _rest(system)
            system.logs.read()
            findings = [
                rolled,
                *verdict.of_clients(clients),
                *verdict.of_events(clients.jobs, tap),
                *verdict.of_webhooks(clients.jobs, tap, receiver),
                *verdict.of_logs(system.logs),
                *await remains.of_all(system, clients.jobs, faults.given_up),
                *await leaks.of_all(system, before),
            ]
    figures = {
        "jobs": len(clients.jobs),
        "requests": clients.requests,
        "failed_requests": clients.failed_requests,
        "webhook_requests": receiver.requests,
        "events_repeated": tap.repeated,
        "faults": log.told,
    }
    return Outcome(findings, figures)


async def _held(system: Place, clients: Clients, plan: Plan) -> dict[Process, Held]:
    """What processes hold at rest, once they have worked."""
    async with clients.at_work(plan.clients):
        await clients.submitted(_WARM)
    await _rest(system)
    return await leaks.at_rest(system)


async def _roll(system: Place, clients: Clients) -> Finding:
    before, requests = clients.failed_requests.copy(), clients.requests
    await roll(system)
    failed = clients.failed_requests - before
    return Finding(
        "a rolling restart failed no request", clients.requests - requests, [f"{count} x {what}" for what, count in failed.items()]
    )


def _drawn(plan: Plan, faults: Faults, system: Place) -> Iterable[Strike]:
    """Each kind once, or for as long as there is time."""
    kinds = list(faults.kinds) if plan.faults is None else plan.faults
    return itertools.islice(_strikes(str(plan.seed), kinds, system), len(kinds) if plan.seconds is None else None)


def _gentle(plan: Plan, faults: Faults, system: Place) -> Iterable[Strike]:
    """Once each, of those that are wanted and that no service ends by."""
    kinds = [kind for kind in faults.kinds if kind not in FATAL and (plan.faults is None or kind in plan.faults)]
    return itertools.islice(_strikes(f"{plan.seed} gentle", kinds, system), len(kinds))


def _strikes(seed: str, kinds: Sequence[str], system: Place) -> Iterable[Strike]:
    return strikes(seed, kinds, services=list(system.services), servers=SERVERS, links=links(system))


class _Log:
    """What happened, in order, and how much of it was noticed: a fault that nobody ever notices is none."""

    def __init__(self, system: Place) -> None:
        self._system = system
        self._felt = Counter[str]()
        self.told: list[str] = []

    def telling(self, clients: Clients) -> Callable[[str], None]:
        def tell(what: str) -> None:
            self._system.logs.read()
            now = Counter(complaints=self._system.logs.complaints, failed_requests=clients.failed_requests.total())
            self.told.append(f"{what}: " + ", ".join(f"{now[kind] - self._felt[kind]} {kind.replace('_', ' ')}" for kind in now))
            self._felt = now
            print(f"  {self.told[-1]}", flush=True)

        return tell


async def _break(faults: Faults, drawn: Iterable[Strike], tell: Callable[[str], None], seconds: float | None) -> None:
    """For so many seconds; None: until all have happened."""
    over = asyncio.Event()
    task = asyncio.create_task(faults.run(drawn, over, tell), name="faults")
    await asyncio.wait({task}, timeout=seconds)
    over.set()
    await task


async def _rest(system: Place) -> None:
    """Until nothing waits to be worked on, published or delivered; if that does not come, the verdict tells why."""
    began = time.monotonic()
    while not await remains.idle(system) and time.monotonic() < began + _REST_SECONDS:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.2)
    print(f"at rest after {time.monotonic() - began:.0f} s", flush=True)
    await asyncio.sleep(1)  # for the tap to hear the last event, which is published already
