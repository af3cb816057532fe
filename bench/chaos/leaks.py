"""What each process holds when it is at rest, against what it held at rest before. Each must live from the one count to the other.

One that was started meanwhile is another, and has given back whatever the one before it had leaked. Connections to Postgres and to the
store are no part of it: pools keep some for a while, so these have a limit instead.
"""

import asyncio
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

import msgspec
import psutil

from bench.chaos.place import Place
from bench.chaos.postgres import connected
from bench.chaos.verdict import Finding

_TASKS = re.compile(rb"^verbatim_tasks (\S+)$", re.MULTILINE)
_POOL = 10
_TO_THE_STORE = 4  # at rest a sweep and a check of health may each have one, and those that nobody needs are kept for 12 s
_KEPT_SECONDS = 16.0
"""After which no connection is kept for whoever may come."""
_PATIENCE_SECONDS = 25.0
_ENGINES = 2

Process = tuple[str, int]
"""A service's name, and the process that it is now."""


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


async def at_rest(place: Place) -> dict[Process, Held]:
    """By each process, when nothing more is about to be let go of: two looks agree."""
    await asyncio.sleep(_KEPT_SECONDS)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    last, now = None, await held(place)
    while now != last and time.monotonic() < deadline:
        await asyncio.sleep(1)
        last, now = now, await held(place)
    return now


async def held(place: Place) -> dict[Process, Held]:
    """By each process, now."""
    return await asyncio.to_thread(_held, place)


async def of_all(place: Place, before: Mapping[Process, Held]) -> Iterable[Finding]:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (grown := of_counts(before, await held(place))).wrong and time.monotonic() < deadline:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(1)
    to_the_store = {name: _connections(place, name, "seaweedfs") for name in place.services}
    folders = [path.name for path in place.temporary.glob("verbatim-*")]
    recordings = [str(path.relative_to(place.temporary)) for path in place.temporary.glob("verbatim-*/*/*")]
    return [
        grown,
        within("no connection to Postgres leaks", await _to_postgres(place), _pools(place.services)),
        within("no connection to the store leaks", to_the_store, dict.fromkeys(place.services, _TO_THE_STORE)),
        exactly("no engine is left over", _ENGINES, [str(engine.pid) for engine in place.engines()]),
        exactly("no engine's folder is left on the disk", _ENGINES, folders),
        Finding("no recording is left on the disk", len(folders), sorted(recordings)),
    ]


def of_counts(before: Mapping[Process, Held], now: Mapping[Process, Held]) -> Finding:
    """No process has ended, and none holds more than before."""
    lived = before.keys() & now.keys()
    ended = [f"{name} has not lived from count to count" for name, _ in sorted(before.keys() - lived)]
    more = [
        f"{process[0]}: {before[process]} -> {now[process]}"
        for process in sorted(lived)
        if not now[process] <= before[process] + _MAY_COME.get(process[0], _NOTHING)
    ]
    return Finding("no handle, task, child or channel leaks", len(lived), ended + more)


def within(what: str, counts: Mapping[str, int], most: Mapping[str, int]) -> Finding:
    """Nobody has more than it may; who is unknown may have none."""
    return Finding(what, len(counts), [f"{name}: {count}" for name, count in counts.items() if count > most.get(name, 0)])


def exactly(what: str, count: int, found: Collection[str]) -> Finding:
    """There are so many, no fewer either."""
    return Finding(what, len(found), [] if len(found) == count else [f"{len(found)} instead of {count}: {', '.join(sorted(found))}"])


def _pools(services: Iterable[str]) -> dict[str, int]:
    """The most that processes of each name may have to Postgres, by the name of the connection."""
    processes = Counter(f"verbatim-{name.split('-')[0]}" for name in services)
    return {**{name: count * _POOL for name, count in processes.items()}, "verbatim-listen": processes.total()}


async def _to_postgres(place: Place) -> dict[str, int]:
    async with connected(place.stack.database_url) as connection:
        rows = await connection.fetch(
            "select application_name as name, count(*) from pg_stat_activity where application_name like 'verbatim-%' group by 1"
        )
    return {row["name"]: row["count"] for row in rows}


def _connections(place: Place, name: str, server: str) -> int:
    port = place.links[name, server].port
    return sum(bool(each.raddr) and each.raddr.port == port for each in _process(place, name).net_connections("tcp"))


def _process(place: Place, name: str) -> psutil.Process:
    process = place.process(name)
    assert process is not None, f"{name} is down"
    return process


def _held(place: Place) -> dict[Process, Held]:
    channels = place.stack.rabbitmq.channels()
    return {
        (name, _process(place, name).pid): _held_by(place, name, channels.get(f"verbatim-{name.split('-')[0]}", 0))
        for name in place.services
    }


def _held_by(place: Place, name: str, channels: int) -> Held:
    process = _process(place, name)
    pooled = _connections(place, name, "postgres") + _connections(place, name, "seaweedfs")
    with urllib.request.urlopen(f"{place.services[name].url}/metrics", timeout=10) as answer:  # noqa: S310 - our own
        told = _TASKS.search(answer.read())
    assert told is not None
    return Held(
        handles=process.num_fds() - pooled, tasks=int(float(told[1])), children=len(process.children(recursive=True)), channels=channels
    )
