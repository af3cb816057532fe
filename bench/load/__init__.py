"""`./run bench load`: many small jobs through the whole system, alone and while workers and the broker die; and what the outbox can take.

The engine is a stub that takes the same time for each job, so what is measured is everything else: submission, queue, claim, bytes,
events. Clients submit as fast as they are answered, but no more than `--backlog` jobs are under way, or queue times would only tell how
long the bench has run. The same load comes again while a worker is killed with SIGKILL every few seconds and the broker is restarted.

Then the outbox: how many events a second one relay on one core gets confirmed, and whether a day's events leave the table and its indexes
as small as they were. How busy the machine was before is told with the figures: a figure that misses what is wanted fails the bench, also
where only the machine is to blame.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import psutil

from bench._system import System, report, running
from bench.load import jobs, outbox
from bench.load.jobs import Took, Trouble
from bench.load.outbox import Growth, Rate
from common.database import Pool, connect

_RELAY_WANTED = 3_000
_GROWTH_WANTED = 1.25
_DAY_SECONDS = 86_400
_PARTS = ("jobs", "relay", "outbox")
_RELAY = "relay"
_MODULES = {_RELAY: "bench.load.relay"}


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="./run bench load")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--engine-seconds", type=float, default=0.05, help="that the engine takes for a job")
    parser.add_argument("--backlog", type=int, default=64, help="jobs that are under way at once, at most")
    parser.add_argument("--kill-every", type=float, default=5, help="seconds from one worker's death to the next")
    parser.add_argument("--restart-every", type=float, default=30, help="seconds from one restart of the broker to the next")
    parser.add_argument("--relayed", type=int, default=60_000, help="events that one relay publishes as fast as it can")
    parser.add_argument("--events-per-second", type=float, default=10, help="of the day that goes through the outbox")
    parser.add_argument("--day", type=float, default=1, help="how much of it")
    parser.add_argument("--only", nargs="+", choices=_PARTS, default=_PARTS)
    options = parser.parse_args(arguments)
    rows, figures = asyncio.run(_run(options))
    missing = missed(figures)
    told = {name: getattr(options, name) for name in ("jobs", "workers")}
    report("load", [("", "measured", "wanted"), *rows], {**figures, **told, "missed": missing})
    for each in missing:
        print(f"✗ {each}")
    if missing:
        sys.exit(1)


def missed(figures: Mapping[str, Any]) -> list[str]:
    """What is not as it is wanted, of what was measured."""
    found = [
        f"{figures[load]['lost']} jobs not completed ({load})" for load in ("alone", "with_faults") if figures.get(load, {}).get("lost")
    ]
    for kind in outbox.KINDS:
        rate = figures.get(f"relay_{kind.name}", {}).get("per_second", _RELAY_WANTED)
        if rate < _RELAY_WANTED:
            found.append(f"{rate:.0f} events a second relayed {kind.told}, not {_RELAY_WANTED}")
    ratio = figures.get("outbox", {}).get("ratio", 0.0)
    if not ratio <= _GROWTH_WANTED:
        found.append(f"the outbox grew to {ratio:.2f} times as much in the second half, not {_GROWTH_WANTED}")
    return found


async def _run(options: argparse.Namespace) -> tuple[list[tuple[str, str, str]], dict[str, Any]]:
    busy = psutil.cpu_percent(interval=2)
    rows = [("cores, and how busy they were before", f"{os.cpu_count()}, {busy:.0f} %", "")]
    figures: dict[str, Any] = {"busy_percent": busy}
    if "jobs" in options.only:
        alone, faulty, trouble = await _jobs(options)
        rows += _told_jobs(options, alone, faulty, trouble)
        figures |= {"alone": alone, "with_faults": faulty, "faults": trouble.done, "brokerless_seconds": trouble.brokerless}
    if {"relay", "outbox"} & set(options.only):
        async with running(_RELAY, modules=_MODULES) as system, connect(system.environment["DATABASE_URL"], name="bench") as pool:
            found, told = await _events(options, system, pool)
        rows, figures = rows + told, figures | found
    return rows, figures


async def _jobs(options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any], Trouble]:
    workers = [f"transcriber-{number}" for number in range(1, options.workers + 1)]
    environ = jobs.SETTINGS | {"BENCH_ENGINE_SECONDS": str(options.engine_seconds)}
    modules = dict.fromkeys(workers, "bench.load.transcriber")
    async with (
        running("ingest", "janitor", *workers, environ=environ, modules=modules) as system,
        connect(system.environment["DATABASE_URL"], name="bench") as pool,
    ):
        await jobs.run(system, pool, jobs=options.workers * 4, backlog=options.backlog)  # connections are open, modules compiled
        alone = await jobs.run(system, pool, jobs=options.jobs, backlog=options.backlog)
        async with jobs.troubled(system, workers, kill_every=options.kill_every, restart_every=options.restart_every) as trouble:
            faulty = await jobs.run(system, pool, jobs=options.jobs, backlog=options.backlog)
    return alone.figures, faulty.figures, trouble


def _told_jobs(options: argparse.Namespace, alone: dict[str, Any], faulty: dict[str, Any], trouble: Trouble) -> list[tuple[str, str, str]]:
    def both(name: str, unit: str) -> tuple[str, str, str]:
        return (f"{name}, {unit}: p50 / p95 / p99", f"{_three(alone[name])}   {_three(faulty[name])}", "")

    return [
        (f"{options.jobs:,} jobs of {options.engine_seconds:g} s, {options.workers} workers", "alone   with faults", ""),
        ("jobs a second", f"{alone['rate']:.1f}   {faulty['rate']:.1f}", ""),
        both("submission", "ms"),
        both("queued", "ms"),
        both("until done", "ms"),
        ("jobs not completed", f"{alone['lost']}   {faulty['lost']}", "0   0"),
        ("claimed more than once", f"{alone['repeated']}   {faulty['repeated']}", ""),
        ("faults", ", ".join(f"{count} x {what}" for what, count in trouble.done.items()) or "none", ""),
        ("seconds in which there was no broker", f"{trouble.brokerless:.0f} of {faulty['seconds']:.0f}", ""),
    ]


def _three(took: Took) -> str:
    return " / ".join(f"{value:.0f}" for value in took[:3])


async def _events(options: argparse.Namespace, system: System, pool: Pool) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
    rows: list[tuple[str, str, str]] = []
    figures: dict[str, Any] = {}
    if "relay" in options.only:
        for kind in outbox.KINDS:
            rate = await outbox.rate(system, pool, _RELAY, events=options.relayed, kind=kind)
            figures[f"relay_{kind.name}"] = rate._asdict()
            rows += _told_rate(kind.told, rate)
    if "outbox" in options.only:
        events = round(options.events_per_second * _DAY_SECONDS * options.day)
        growth = await outbox.grow(pool, events)
        figures["outbox"] = growth.figures
        rows += _told_growth(events, growth)
    return figures, rows


def _told_rate(kind: str, rate: Rate) -> list[tuple[str, str, str]]:
    return [
        (f"relay on one core, {kind}: events a second", f"{rate.per_second:.0f}", f">= {_RELAY_WANTED}"),
        ("its core's share of that time", f"{rate.busy:.0%}", ""),
        ("events for a second of its processor", f"{rate.per_cpu_second:.0f}", ""),
    ]


def _told_growth(events: int, growth: Growth) -> list[tuple[str, str, str]]:
    last = growth.samples[-1]
    return [
        (f"{events:,} events through the outbox, a second", f"{growth.per_second:.0f}", ""),
        ("MiB of table / indexes: empty", _mib(growth.samples[0]), ""),
        ("at the most, in the first half", _mib(growth.most_early), ""),
        ("at the most, in the second half", _mib(growth.most_late), ""),
        ("second half / first half", f"{growth.ratio:.2f}", f"<= {_GROWTH_WANTED}"),
        ("dead rows at the end, autovacuums", f"{last.dead:,}, {last.vacuums}", ""),
        ("after a vacuum, MiB of table / indexes", _mib(growth.vacuumed), ""),
    ]


def _mib(sample: outbox.Size) -> str:
    return f"{sample.table / 2**20:.1f} / {sample.indexes / 2**20:.1f}"
