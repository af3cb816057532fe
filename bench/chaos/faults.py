"""What can go wrong, one thing at a time, each put right again before it returns; where, how and for how long, its strike says."""

import asyncio
import contextlib
import resource
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import aio_pika
import psutil

from bench.chaos import postgres
from bench.chaos.place import LEASE_SECONDS, SERVERS, Place
from bench.chaos.proxy import Fault
from bench.chaos.strike import Link, Strike
from common import patience, topology
from common.broker import LOST
from deploy.local.server import Server

_NETWORK: tuple[Fault, ...] = ("cut", "stall", "delay")
_STORE: tuple[Fault, ...] = ("refuse", "break", "truncate", "delay")
FATAL = frozenset({"kill", "power cut"})
"""All others every service must outlive."""


class Faults:
    """`kinds` are all that there are, by name. `given_up`: what was found in queues of dead letters when they were purged or deleted."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.given_up: list[str] = []
        self.kinds: Mapping[str, Callable[[Strike], Awaitable[str]]] = {
            "kill": self.kill,
            "kill engines": self.kill_engines,
            "stop": self.stop,
            "wrong clock": self.wrong_clock,
            "restart server": self.restart_server,
            "restart servers": self.restart_servers,
            "power cut": self.power_cut,
            "purge queues": self.purge,
            "delete queues": self.delete,
            "network": self.network,
            "store": self.store,
            "full disk": self.full_disk,
            "no connections": self.exhaust,
            "failing commits": self.fail_commits,
            "lost commits": self.lose_commits,
        }

    async def run(self, strikes: Iterable[Strike], until: asyncio.Event, tell: Callable[[str], None]) -> None:
        """One after another, with a breath after each, before what it was is told."""
        for strike in strikes:
            if until.is_set():
                return
            told = await self.kinds[strike.kind](strike)
            await patience.wait(until, strike.breath)
            tell(told)

    async def kill(self, strike: Strike) -> str:
        """SIGKILL to one service, or to all of them; started again at once or after a while."""
        names = strike.services if strike.all_of_them else strike.services[:1]
        for name in names:
            await self._place.kill(name)
        await asyncio.sleep(strike.one_of([0, 1, LEASE_SECONDS + 1]))
        await self._launch(names)
        return f"killed {', '.join(names)}"

    async def kill_engines(self, _: Strike) -> str:
        """SIGKILL to the children; their parents start others."""
        engines = self._place.engines()
        for engine in engines:
            with contextlib.suppress(psutil.NoSuchProcess):
                engine.kill()
        return f"killed {len(engines)} engines"

    async def stop(self, strike: Strike) -> str:
        """SIGSTOP for longer than a lease: what wakes up is a zombie."""
        name, *_ = strike.services
        seconds = LEASE_SECONDS + strike.seconds(1, 4)
        self._place.services[name].process.send(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self._place.services[name].process.send(signal.SIGCONT)
        return f"stopped {name} for {seconds:.0f} s"

    async def wrong_clock(self, strike: Strike) -> str:
        """Of one service, an hour fast or slow, and right again."""
        name, *_ = strike.services
        hours = strike.one_of([-1, 1])
        seconds = strike.seconds(4, 8)
        with self._place.wrong_clock(name, hours):
            await asyncio.sleep(seconds)
        return f"{name}'s clock was {hours:+d} h off for {seconds:.0f} s"

    async def restart_server(self, strike: Strike) -> str:
        server, *_ = self._servers(strike)
        hard = strike.one_of([True, False])
        await asyncio.to_thread(server.kill if hard else server.stop)
        await asyncio.sleep(strike.seconds(0, 3))
        await asyncio.to_thread(server.start)
        return f"{'killed' if hard else 'stopped'} and started {server.name}"

    async def restart_servers(self, strike: Strike) -> str:
        """All down at once, up one after another in any order."""
        servers = self._servers(strike)
        await asyncio.gather(*(asyncio.to_thread(server.kill) for server in servers))
        for server in servers:
            await asyncio.to_thread(server.start)
        return f"killed all servers, started {', '.join(server.name for server in servers)}"

    async def power_cut(self, strike: Strike) -> str:
        """Everything is down at once, and what comes up first finds nobody."""
        servers, names = self._servers(strike), strike.services
        await asyncio.gather(
            *(asyncio.to_thread(server.kill) for server in servers), *(self._place.kill(name) for name in self._place.services)
        )
        for name in names:
            await self._place.launch(name)
        for server in servers:
            await asyncio.to_thread(server.start)
        await self._place.ready()
        return f"killed everything, started services, then {', '.join(server.name for server in servers)}"

    async def purge(self, _: Strike) -> str:
        return await self._to_queues("purged", lambda channel, name: channel.queue_purge(name))

    async def delete(self, _: Strike) -> str:
        return await self._to_queues("deleted", lambda channel, name: channel.queue_delete(name))

    async def network(self, strike: Strike) -> str:
        """Between any two, or all services and one server."""
        return await self._between(strike, strike.link, strike.one_of(_NETWORK))

    async def store(self, strike: Strike) -> str:
        return await self._between(strike, (None, "seaweedfs"), strike.one_of(_STORE))

    async def full_disk(self, strike: Strike) -> str:
        """No file of the store grows any more, until somebody makes room and starts it again: its index never forgets that it could not."""
        seconds = strike.seconds(3, 6)
        server = self._place.stack.seaweedfs
        psutil.Process(server.process.pid).rlimit(psutil.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        await asyncio.sleep(seconds)
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        return f"the store's disk was full for {seconds:.0f} s"

    async def exhaust(self, strike: Strike) -> str:
        """Postgres refuses whoever comes."""
        held = await postgres.exhaust(self._place.stack.database_url, strike.seconds(1, 4))
        return f"took {held} connections"

    async def fail_commits(self, strike: Strike) -> str:
        code = strike.one_of(postgres.CODES)
        seconds = strike.seconds(2, 4)
        await postgres.fail_commits(self._place.stack.database_url, seconds, code)
        return f"commits failed with {code} for {seconds:.0f} s"

    async def lose_commits(self, strike: Strike) -> str:
        """They are made, and whoever made them does not hear of it."""
        return await self._between(strike, (None, "postgres"), "forget")

    async def _between(self, strike: Strike, link: Link, fault: Fault) -> str:
        name, other = link
        seconds = strike.seconds(2, 6)
        with contextlib.ExitStack() as stack:
            for one, another in self._place.links:
                if another == other and name in {one, None}:
                    stack.enter_context(self._place.links[one, another].faulty(fault))
            await asyncio.sleep(seconds)
        return f"{fault} between {name or 'everyone'} and {other} for {seconds:.0f} s"

    async def _to_queues(self, what: str, action: Callable[[Any, str], Awaitable[Any]]) -> str:
        """Those of dead letters last: nobody consumes them, so nobody is told that one has gone."""
        dead = sorted({queue.dead for queue in topology.QUEUES})
        try:
            async with await aio_pika.connect(self._place.stack.amqp_url, timeout=10) as connection:
                channel = await (await connection.channel()).get_underlay_channel()
                for name in (*(queue.name for queue in topology.QUEUES), *dead):
                    gone = (await action(channel, name)).message_count
                    if gone and name in dead:
                        self.given_up.append(f"{gone} in {name} when it was {what}")
        except LOST as error:
            return f"{what} not all queues: {error!r}"
        return f"{what} all queues"

    async def _launch(self, names: Sequence[str]) -> None:
        for name in names:
            await self._place.launch(name)
        await self._place.ready(*names)

    def _servers(self, strike: Strike) -> list[Server]:
        """In the strike's order."""
        by_name = {server.name: server for server in self._place.stack.servers}
        return [by_name[name] for name in strike.servers]


def links(place: Place) -> list[Link]:
    """Any two parts that talk, and each server with all services."""
    return [*place.links, *((None, server) for server in SERVERS)]


async def roll(place: Place) -> None:
    """Restart every service as an operator would: one after another, each ready before the next."""
    for name in place.services:
        await place.stop(name)
        await place.launch(name)
        await place.ready(name)
