"""What can go wrong, one at a time or together, each put right again before it returns; when and where, a seed decides."""

import asyncio
import contextlib
import random
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import aio_pika
import asyncpg
import psutil

from bench.chaos.place import LEASE_SECONDS, SERVERS, Place
from bench.chaos.proxy import Fault
from common import topology
from common.broker import LOST
from deploy.local.server import Server

_NETWORK: tuple[Fault, ...] = ("cut", "stall", "delay")
_STORE: tuple[Fault, ...] = ("refuse", "break", "truncate", "delay")
_CONNECTIONS = 210


class Faults:
    """`done` is what happened, in order."""

    def __init__(self, place: Place, chance: random.Random) -> None:
        self._place = place
        self._chance = chance
        self.done: list[str] = []
        self._all: dict[str, Callable[[], Awaitable[str]]] = {
            "kill": self.kill,
            "kill engine": self.kill_engine,
            "stop": self.stop,
            "restart server": self.restart_server,
            "restart all servers": self.restart_servers,
            "purge queues": self.purge,
            "delete queues": self.delete,
            "network": self.network,
            "store": self.store,
            "no connections": self.exhaust,
        }

    async def run(self, until: asyncio.Event) -> None:
        """Every kind once, in an order of the seed's, and again; with a breath in between."""
        while not until.is_set():
            kinds = list(self._all)
            self._chance.shuffle(kinds)
            for kind in kinds:
                if until.is_set():
                    return
                told = await self._all[kind]()
                self.done.append(told)
                print(f"  {told}", flush=True)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(until.wait(), self._chance.uniform(0.5, 3))

    async def kill(self) -> str:
        """SIGKILL to one service, or to all at once; started again at once or after a while."""
        names = list(self._place.services)
        if self._chance.random() < 0.8:
            names = [self._chance.choice(names)]
        for name in names:
            await asyncio.to_thread(self._place.services[name].kill)
        await asyncio.sleep(self._chance.choice([0, 1, LEASE_SECONDS + 1]))
        for name in names:
            await self._place.launch(name)
        await self._place.ready(*names)
        return f"killed {', '.join(names)}"

    async def kill_engine(self) -> str:
        """SIGKILL to the children; their parents start others."""
        children = self._place.children()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        return f"killed {len(children)} engines"

    async def stop(self) -> str:
        """SIGSTOP for longer than a lease: what wakes up is a zombie."""
        name = self._chance.choice(list(self._place.services))
        seconds = LEASE_SECONDS + self._chance.uniform(1, 4)
        process = self._place.process(name)
        if process is None:
            return f"{name} was not there to be stopped"
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        process.send_signal(signal.SIGCONT)
        return f"stopped {name} for {seconds:.0f} s"

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
        self._chance.shuffle(servers)
        for server in servers:
            await asyncio.to_thread(server.start)
        return f"killed all servers, started {', '.join(server.name for server in servers)}"

    async def purge(self) -> str:
        return await self._to_queues("purged", lambda channel, name: channel.queue_purge(name))

    async def delete(self) -> str:
        return await self._to_queues("deleted", lambda channel, name: channel.queue_delete(name))

    async def network(self) -> str:
        """Between one service and one server, or all and one."""
        server = self._chance.choice(SERVERS)
        fault = self._chance.choice(_NETWORK)
        name = self._chance.choice([*self._place.services, None])
        return await self._between(name, server, fault)

    async def store(self) -> str:
        return await self._between(None, "seaweedfs", self._chance.choice(_STORE))

    async def exhaust(self) -> str:
        """Postgres refuses whoever comes now."""
        held: list[asyncpg.Connection] = []
        try:
            for _ in range(_CONNECTIONS):
                held.append(await asyncpg.connect(self._place.stack.database_url, timeout=5))  # noqa: PERF401 - kept when one fails
        except (asyncpg.PostgresError, OSError, TimeoutError):
            await asyncio.sleep(self._chance.uniform(1, 4))
        finally:
            await asyncio.gather(*(connection.close() for connection in held), return_exceptions=True)
        return f"took {len(held)} connections"

    async def _between(self, name: str | None, server: str, fault: Fault) -> str:
        seconds = self._chance.uniform(2, 6)
        with contextlib.ExitStack() as stack:
            for each in self._place.services if name is None else [name]:
                stack.enter_context(self._place.proxies[each, server].faulty(fault))
            await asyncio.sleep(seconds)
        return f"{fault} between {name or 'everyone'} and {server} for {seconds:.0f} s"

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

    def _servers(self) -> list[Server]:
        return list(self._place.stack.servers)


async def roll(place: Place) -> None:
    """Restart every service as an operator would: one after another, each ready before the next."""
    for name, service in place.services.items():
        await asyncio.to_thread(service.stop)
        await place.launch(name)
        await place.ready(name)
