"""What the services hold when they are at rest, counted before anything happened and after everything did.

Connections to Postgres and to the store are no part of it: pools keep some for a while, so these have a limit instead.
"""

import asyncio
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec
import psutil

from bench.chaos.place import Place
from bench.chaos.postgres import connected
from bench.chaos.verdict import Finding

_TASKS = re.compile(rb"^verbatim_tasks (\S+)$", re.MULTILINE)
_POOL = 10
_TO_THE_STORE = 4  # at rest a sweep and a check of health may each have one, and those that nobody needs are kept for 12 s
_PATIENCE_SECONDS = 25.0


class Held(msgspec.Struct, frozen=True):
    """By one service, or (`channels`) by all of its name; `handles` are files and sockets, less those to Postgres and to the store."""

    handles: int
    tasks: int
    children: int
    channels: int

    def __add__(self, other: "Held") -> "Held":
        return Held(*(mine + theirs for mine, theirs in zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)))

    def __le__(self, other: "Held") -> bool:
        return all(mine <= theirs for mine, theirs in zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True))


_NOTHING = Held(handles=0, tasks=0, children=0, channels=0)
_MAY_COME = {"janitor": Held(handles=0, tasks=2, children=0, channels=1)}
"""A channel to publish on is opened with the first event, and while all is well a janitor has none."""


async def held(place: Place) -> dict[str, Held]:
    """By each service, now."""
    return await asyncio.to_thread(_held, place)


async def of_all(place: Place, before: Mapping[str, Held]) -> Iterable[Finding]:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while more := await _more(place, before):
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(1)
    engines = place.engines()
    folders = sorted(path.name for path in place.temporary.glob("verbatim-*"))
    recordings = sorted(str(path.relative_to(place.temporary)) for path in place.temporary.glob("verbatim-*/*/*"))
    return [
        Finding("no handle, task, child or channel leaks", len(before), more),
        await _of_connections(place),
        Finding("no connection to the store leaks", len(place.services), _to_the_store(place)),
        Finding("no engine is left over", 2, [str(engine.pid) for engine in engines] if len(engines) != 2 else []),
        Finding("no recording is left on the disk", len(folders), recordings + (folders if len(folders) != 2 else [])),
    ]


async def _more(place: Place, before: Mapping[str, Held]) -> list[str]:
    """Who holds more than before."""
    limits = {name: each + _MAY_COME.get(name, _NOTHING) for name, each in before.items()}
    return [f"{name}: {before[name]} -> {now}" for name, now in (await held(place)).items() if not now <= limits[name]]


async def _of_connections(place: Place) -> Finding:
    async with connected(place.stack.database_url) as connection:
        rows = await connection.fetch(
            "select application_name as name, count(*) from pg_stat_activity where application_name like 'verbatim-%' group by 1"
        )
    processes = Counter(f"verbatim-{name.split('-')[0]}" for name in place.services)
    most = {**{name: count * _POOL for name, count in processes.items()}, "verbatim-listen": processes.total()}
    many = [f"{row['name']}: {row['count']}" for row in rows if row["count"] > most.get(row["name"], 0)]
    return Finding("no connection to Postgres leaks", len(rows), many)


def _to_the_store(place: Place) -> list[str]:
    found = {name: _connections(place, name, "seaweedfs") for name in place.services}
    return [f"{name}: {count}" for name, count in found.items() if count > _TO_THE_STORE]


def _connections(place: Place, name: str, server: str) -> int:
    port = place.links[name, server].port
    return sum(bool(each.raddr) and each.raddr.port == port for each in _process(place, name).net_connections("tcp"))


def _process(place: Place, name: str) -> psutil.Process:
    process = place.process(name)
    assert process is not None, f"{name} is down"
    return process


def _held(place: Place) -> dict[str, Held]:
    channels = place.stack.rabbitmq.channels()
    return {name: _held_by(place, name, channels.get(f"verbatim-{name.split('-')[0]}", 0)) for name in place.services}


def _held_by(place: Place, name: str, channels: int) -> Held:
    process = _process(place, name)
    pooled = _connections(place, name, "postgres") + _connections(place, name, "seaweedfs")
    with urllib.request.urlopen(f"{place.services[name].url}/metrics", timeout=10) as answer:  # noqa: S310 - our own
        told = _TASKS.search(answer.read())
    assert told is not None
    return Held(
        handles=process.num_fds() - pooled, tasks=int(float(told[1])), children=len(process.children(recursive=True)), channels=channels
    )
