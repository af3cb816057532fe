"""What can go wrong, one thing at a time, each put right again before it returns; when and where, a seed decides."""

import asyncio
import contextlib
import random
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import aio_pika
import psutil

from bench.chaos import postgres
from bench.chaos.place import LEASE_SECONDS, SERVERS, Place
from bench.chaos.proxy import Fault
from common import patience, topology
from common.broker import LOST
from deploy.local.server import Server

_NETWORK: tuple[Fault, ...] = ("cut", "stall", "delay")
_STORE: tuple[Fault, ...] = ("refuse", "break", "truncate", "delay")


class Faults:
    """`kinds` are all that there are, by name."""

    def __init__(self, place: Place, chance: random.Random) -> None:
        self._place = place
        self._chance = chance
        self.kinds: Mapping[str, Callable[[], Awaitable[str]]] = {
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

    async def run(self, kinds: Sequence[str], until: asyncio.Event, tell: Callable[[str], None], *, once: bool) -> None:
        """Each of these once, in an order of the seed's, and again; with a breath after each, before what it was is told."""
        rounds = 1 if once else sys.maxsize
        for _ in range(rounds):
            for kind in self._chance.sample(kinds, len(kinds)):
                if until.is_set():
                    return
                told = await self.kinds[kind]()
                await patience.wait(until, self._chance.uniform(0.5, 3))
                tell(told)

    async def kill(self) -> str:
        """SIGKILL to one service, or to all of them; started again at once or after a while."""
        names = self._some_services(0.2)
        for name in names:
            await self._place.kill(name)
        await asyncio.sleep(self._chance.choice([0, 1, LEASE_SECONDS + 1]))
        await self._launch(names)
        return f"killed {', '.join(names)}"

    async def kill_engines(self) -> str:
        """SIGKILL to the children; their parents start others."""
        engines = self._place.engines()
        for engine in engines:
            with contextlib.suppress(psutil.NoSuchProcess):
                engine.kill()
        return f"killed {len(engines)} engines"

    async def stop(self) -> str:
        """SIGSTOP for longer than a lease: what wakes up is a zombie."""
        name = self._chance.choice(list(self._place.services))
        seconds = LEASE_SECONDS + self._chance.uniform(1, 4)
        self._place.services[name].process.send(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self._place.services[name].process.send(signal.SIGCONT)
        return f"stopped {name} for {seconds:.0f} s"

    async def wrong_clock(self) -> str:
        """Of one service, an hour fast or slow, and right again."""
        name = self._chance.choice(list(self._place.services))
        hours = self._chance.choice([-1, 1])
        seconds = self._chance.uniform(4, 8)
        with self._place.wrong_clock(name, hours):
            await asyncio.sleep(seconds)
        return f"{name}'s clock was {hours:+d} h off for {seconds:.0f} s"

    async def restart_server(self) -> str:
        server = self._chance.choice(self._servers())
        hard = self._chance.random() < 0.5
        await asyncio.to_thread(server.kill if hard else server.stop)
        await asyncio.sleep(self._chance.uniform(0, 3))
        await asyncio.to_thread(server.start)
        return f"{'killed' if hard else 'stopped'} and started {server.name}"

    async def restart_servers(self) -> str:
        """All down at once, up one after another in any order."""
        servers = self._servers()
        await asyncio.gather(*(asyncio.to_thread(server.kill) for server in servers))
        for server in servers:
            await asyncio.to_thread(server.start)
        return f"killed all servers, started {', '.join(server.name for server in servers)}"

    async def power_cut(self) -> str:
        """Everything is down at once, and what comes up first finds nobody."""
        servers, names = self._servers(), self._some_services(1)
        await asyncio.gather(
            *(asyncio.to_thread(server.kill) for server in servers), *(self._place.kill(name) for name in self._place.services)
        )
        for name in names:
            await self._place.launch(name)
        for server in servers:
            await asyncio.to_thread(server.start)
        await self._place.ready()
        return f"killed everything, started services, then {', '.join(server.name for server in servers)}"

    async def purge(self) -> str:
        return await self._to_queues("purged", lambda channel, name: channel.queue_purge(name))

    async def delete(self) -> str:
        return await self._to_queues("deleted", lambda channel, name: channel.queue_delete(name))

    async def network(self) -> str:
        """Between any two, or all services and one server."""
        links = [*self._place.links, *((None, server) for server in SERVERS)]
        return await self._between(*self._chance.choice(links), self._chance.choice(_NETWORK))

    async def store(self) -> str:
        return await self._between(None, "seaweedfs", self._chance.choice(_STORE))

    async def full_disk(self) -> str:
        """No file of the store grows any more, until somebody makes room and starts it again: its index never forgets that it could not."""
        seconds = self._chance.uniform(3, 6)
        server = self._place.stack.seaweedfs
        psutil.Process(server.process.pid).rlimit(psutil.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        await asyncio.sleep(seconds)
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        return f"the store's disk was full for {seconds:.0f} s"

    async def exhaust(self) -> str:
        """Postgres refuses whoever comes."""
        held = await postgres.exhaust(self._place.stack.database_url, self._chance.uniform(1, 4))
        return f"took {held} connections"

    async def fail_commits(self) -> str:
        code = self._chance.choice(postgres.CODES)
        seconds = self._chance.uniform(2, 4)
        await postgres.fail_commits(self._place.stack.database_url, seconds, code)
        return f"commits failed with {code} for {seconds:.0f} s"

    async def lose_commits(self) -> str:
        """They are made, and whoever made them does not hear of it."""
        return await self._between(None, "postgres", "forget")

    async def _between(self, name: str | None, other: str, fault: Fault) -> str:
        seconds = self._chance.uniform(2, 6)
        with contextlib.ExitStack() as stack:
            for one, another in self._place.links:
                if another == other and name in {one, None}:
                    stack.enter_context(self._place.links[one, another].faulty(fault))
            await asyncio.sleep(seconds)
        return f"{fault} between {name or 'everyone'} and {other} for {seconds:.0f} s"

    async def _to_queues(self, what: str, action: Callable[[Any, str], Awaitable[Any]]) -> str:
        names = [queue.name for queue in topology.QUEUES]
        try:
            async with await aio_pika.connect(self._place.stack.amqp_url, timeout=10) as connection:
                channel = await (await connection.channel()).get_underlay_channel()
                for name in names:
                    await action(channel, name)
        except LOST as error:
            return f"{what} not all queues: {error!r}"
        return f"{what} all queues"

    async def _launch(self, names: Sequence[str]) -> None:
        for name in names:
            await self._place.launch(name)
        await self._place.ready(*names)

    def _some_services(self, all_of_them: float) -> list[str]:
        """One, or with that probability all, in any order."""
        names = list(self._place.services)
        return self._chance.sample(names, len(names) if self._chance.random() < all_of_them else 1)

    def _servers(self) -> list[Server]:
        """In any order."""
        return self._chance.sample(self._place.stack.servers, len(self._place.stack.servers))


async def roll(place: Place) -> None:
    """Restart every service as an operator would: one after another, each ready before the next."""
    for name in place.services:
        await place.stop(name)
        await place.launch(name)
        await place.ready(name)
