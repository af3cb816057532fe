"""The whole system as it is deployed: several of each service, started again when they end, and proxies that can misbehave in between."""

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from bench._system import MODELS
from bench.chaos import postgres
from bench.chaos.logs import Logs
from bench.chaos.proxy import Proxy
from deploy.local.private import Private
from deploy.local.service import Service, local_environment, without_configuration
from deploy.local.stack import Stack

LEASE_SECONDS = 4
SERVERS = ("postgres", "rabbitmq", "seaweedfs")
_MODULES = {
    "transcriber-1": "bench.chaos.transcriber",
    "transcriber-2": "bench.chaos.transcriber",
    "ingest-1": "services.ingest",
    "ingest-2": "services.ingest",
    "notifier": "services.notifier",
    "janitor": "services.janitor",
}
_READY_SECONDS = 120.0
_SETTINGS = {
    "LOG_LEVEL": "info",
    "LOG_FORMAT": "json",
    "LEASE_SECONDS": str(LEASE_SECONDS),
    "HEARTBEAT_SECONDS": "1",
    "MAX_ATTEMPTS": "50",
    "SHORT_JOBS_TOGETHER": "2",
    "MAX_CONCURRENT_JOBS": "2",
    "RESCUE_INTERVAL_SECONDS": "1",
    "CLEANUP_INTERVAL_MINUTES": "0.1",
    "STALE_UPLOAD_HOURS": "0.05",
    "ORPHAN_GRACE_HOURS": "0.05",
    "WEBHOOK_TIMEOUT": "3",
    "WEBHOOK_RETRY_DELAY": "1",
    "WEBHOOK_MAX_RETRIES": "100",
    "DRAIN_SECONDS": "20",
}
_CLOCK = Path(__file__).parent / "clock"


class Place:
    """`links` are the proxies, by the two parts that each lies between.

    Blocking calls of the local stack run in threads: load and proxies go on meanwhile.
    """

    def __init__(self, stack: Stack, root: Path, *, receiver_port: int) -> None:
        self.stack = stack
        self.services = {name: Service(name, root, module=module) for name, module in _MODULES.items()}
        self.logs = Logs(service.process.log for service in self.services.values())
        self.temporary = root / "tmp"
        self._clocks = root / "clocks"
        self.environment = {
            **local_environment(stack, models=MODELS, private=Private(root / "private.json"), environ=without_configuration(os.environ)),
            **_SETTINGS,
            "TMPDIR": str(self.temporary),
        }
        """How to reach the servers past the proxies."""
        ports = {
            "postgres": lambda: _port(stack.database_url),
            "rabbitmq": lambda: _port(stack.amqp_url),
            "seaweedfs": lambda: _port(stack.s3.endpoint_url),
        }
        self.links = {
            **{(name, server): Proxy(ports[server]) for name in _MODULES for server in SERVERS},
            ("clients", "ingest"): Proxy(lambda: _port(self.services["ingest-1"].url), lambda: _port(self.services["ingest-2"].url)),
            ("notifier", "receiver"): Proxy(lambda: receiver_port),
        }
        self._down: set[str] = set()
        self._turn = asyncio.Lock()

    @property
    def webhook_secrets(self) -> list[str]:
        return self.environment["WEBHOOK_SECRETS"].split(",")

    @property
    def url(self) -> str:
        """Of the API, wherever an ingest is up."""
        return f"http://127.0.0.1:{self.links['clients', 'ingest'].port}"

    @property
    def webhook_url(self) -> str:
        return f"http://127.0.0.1:{self.links['notifier', 'receiver'].port}"

    async def launch(self, name: str) -> None:
        """Start it, unless it runs; from now on it is started again whenever it ends. See `ready`."""
        async with self._turn:
            self._down.discard(name)
            if self.services[name].pid is None:
                await asyncio.to_thread(self.services[name].launch, self._environment(name))

    async def kill(self, name: str) -> None:
        """As the kernel would do it; nobody starts it again but `launch`."""
        self._down.add(name)
        async with self._turn:
            await asyncio.to_thread(self.services[name].kill)

    async def stop(self, name: str) -> None:
        """As an operator would."""
        self._down.add(name)
        async with self._turn:
            await asyncio.to_thread(self.services[name].stop)

    async def ready(self, *names: str) -> None:
        """Wait until these are, or all."""
        deadline = time.monotonic() + _READY_SECONDS
        for name in names or tuple(self.services):
            while waits_for := await asyncio.to_thread(self.services[name].readiness):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{name} waits for {waits_for}:\n{self.services[name].process.log_tail(40)}")
                await asyncio.sleep(0.2)

    @contextmanager
    def wrong_clock(self, name: str, hours: int) -> Iterator[None]:
        """For the time of the block, a service and its children are so much ahead of everybody else."""
        file = self._clocks / name
        file.write_text(str(hours))
        try:
            yield
        finally:
            file.unlink()

    async def supervise(self) -> None:
        """Start again what has ended by itself: without its servers a service does."""
        while True:
            await asyncio.sleep(0.5)
            for name in self.services.keys() - self._down:
                if self.services[name].pid is None:
                    await self.launch(name)

    def process(self, name: str) -> psutil.Process | None:
        pid = self.services[name].pid
        return None if pid is None else psutil.Process(pid)

    def engines(self) -> list[psutil.Process]:
        """Wherever their parents are."""
        return [
            process
            for process in psutil.process_iter(["cmdline", "environ"])
            if "bench.chaos.engine" in (process.info["cmdline"] or ())
            and (process.info["environ"] or {}).get("TMPDIR") == str(self.temporary)
        ]

    async def open(self) -> None:
        self.temporary.mkdir()
        self._clocks.mkdir()
        for proxy in self.links.values():
            await proxy.start()
        for name in self.services:
            await self.launch(name)
        await self.ready()
        await postgres.install(self.stack.database_url)

    async def close(self) -> None:
        for service in self.services.values():
            await asyncio.to_thread(service.process.kill)
        for proxy in self.links.values():
            await proxy.stop()

    def _environment(self, name: str) -> dict[str, str]:
        def through(server: str, url: str) -> str:
            parts = urlsplit(url)
            user, at, _ = parts.netloc.rpartition("@")
            return parts._replace(netloc=f"{user}{at}127.0.0.1:{self.links[name, server].port}").geturl()

        return self.environment | {
            "DATABASE_URL": through("postgres", self.environment["DATABASE_URL"]),
            "AMQP_URL": through("rabbitmq", self.environment["AMQP_URL"]),
            "S3_ENDPOINT_URL": through("seaweedfs", self.environment["S3_ENDPOINT_URL"]),
            "CHAOS_CLOCK": str(self._clocks / name),
            "PYTHONPATH": os.pathsep.join([str(_CLOCK), *filter(None, [self.environment.get("PYTHONPATH")])]),
        }


def _port(url: str) -> int:
    return urlsplit(url).port or 0


@asynccontextmanager
async def opened(stack: Stack, root: Path, *, receiver_port: int) -> AsyncIterator[Place]:
    """On a stack that nobody has used yet, in an empty directory; all services are stopped at the end."""
    place = Place(stack, root, receiver_port=receiver_port)
    supervising = asyncio.create_task(place.supervise(), name="supervisor")
    try:
        await place.open()
        yield place
    finally:
        supervising.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await supervising
        await place.close()


def clear(root: Path) -> None:
    """Of what one that was killed left running, too."""
    for name in _MODULES:
        Service(name, root).process.kill()
    Stack(root, environ={}).stop()
    shutil.rmtree(root, ignore_errors=True)
