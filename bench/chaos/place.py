"""The whole system as it is deployed: several of each service, and between each of them and each server a proxy that can misbehave."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from bench._system import MODELS
from bench.chaos.proxy import Proxy
from deploy.local.private import Private
from deploy.local.service import Service, local_environment, without_configuration
from deploy.local.stack import Stack

LEASE_SECONDS = 4
_MODULES = {
    "transcriber-1": "bench.chaos.transcriber",
    "transcriber-2": "bench.chaos.transcriber",
    "ingest-1": "services.ingest",
    "ingest-2": "services.ingest",
    "notifier": "services.notifier",
    "janitor": "services.janitor",
}
SERVERS = ("postgres", "rabbitmq", "seaweedfs")
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
    "DRAIN_SECONDS": "5",
}


class Place:
    """Blocking calls of the local stack run in threads: load and proxies go on meanwhile."""

    def __init__(self, stack: Stack, root: Path) -> None:
        self.stack = stack
        self.services = {name: Service(name, root, module=module) for name, module in _MODULES.items()}
        self.temporary = root / "tmp"
        self._base = {
            **local_environment(stack, models=MODELS, private=Private(root / "private.json"), environ=without_configuration(os.environ)),
            **_SETTINGS,
            "TMPDIR": str(self.temporary),
        }
        ports = {
            "postgres": lambda: urlsplit(stack.database_url).port or 0,
            "rabbitmq": lambda: urlsplit(stack.amqp_url).port or 0,
            "seaweedfs": lambda: urlsplit(stack.s3.endpoint_url).port or 0,
        }
        self.proxies = {(name, server): Proxy(ports[server]) for name in _MODULES for server in SERVERS}
        self.front = Proxy(*(self._port(name) for name in _MODULES if name.startswith("ingest")))

    @property
    def environment(self) -> dict[str, str]:
        """How to reach the servers past the proxies."""
        return self._base

    @property
    def webhook_secrets(self) -> list[str]:
        return self._base["WEBHOOK_SECRETS"].split(",")

    @property
    def url(self) -> str:
        """Of the API, wherever an ingest is up."""
        return f"http://127.0.0.1:{self.front.port}"

    async def launch(self, name: str) -> None:
        """Start it, unless it runs. See `ready`."""
        service = self.services[name]
        if service.pid is None:
            await asyncio.to_thread(service.launch, self._environment(name))

    async def ready(self, *names: str) -> None:
        """Wait until these are; a service that could not start, as its servers were away, is started again."""
        deadline = time.monotonic() + _READY_SECONDS
        for name in names or tuple(self.services):
            while waits_for := await asyncio.to_thread(self.services[name].readiness):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{name} waits for {waits_for}:\n{self.services[name].process.log_tail(40)}")
                await self.launch(name)
                await asyncio.sleep(0.2)

    def process(self, name: str) -> psutil.Process | None:
        pid = self.services[name].pid
        return None if pid is None else psutil.Process(pid)

    def children(self) -> list[psutil.Process]:
        """The engines, wherever their parents are."""
        return [
            process
            for process in psutil.process_iter(["cmdline", "environ"])
            if "bench.chaos.engine" in (process.info["cmdline"] or ())
            and (process.info["environ"] or {}).get("TMPDIR") == str(self.temporary)
        ]

    async def open(self) -> None:
        self.temporary.mkdir()
        for proxy in (*self.proxies.values(), self.front):
            await proxy.start()
        for name in self.services:
            await self.launch(name)
        await self.ready()

    async def close(self) -> None:
        for service in self.services.values():
            await asyncio.to_thread(service.process.kill)
        for proxy in (*self.proxies.values(), self.front):
            await proxy.stop()

    def _environment(self, name: str) -> dict[str, str]:
        def through(server: str, url: str) -> str:
            parts = urlsplit(url)
            place = f"127.0.0.1:{self.proxies[name, server].port}"
            user, at, _ = parts.netloc.rpartition("@")
            return parts._replace(netloc=f"{user}{at}{place}").geturl()

        return self._base | {
            "DATABASE_URL": through("postgres", self._base["DATABASE_URL"]),
            "AMQP_URL": through("rabbitmq", self._base["AMQP_URL"]),
            "S3_ENDPOINT_URL": through("seaweedfs", self._base["S3_ENDPOINT_URL"]),
        }

    def _port(self, name: str) -> "_Port":
        return _Port(self.services[name])


class _Port:
    """Where a service listens, asked for at each connection."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def __call__(self) -> int:
        return urlsplit(self._service.url).port or 0


@asynccontextmanager
async def opened(root: Path) -> AsyncIterator[Place]:
    """An empty one; everything is stopped at the end."""
    await asyncio.to_thread(_empty, root)
    with Stack(root, environ={}, durable=False) as stack:
        place = Place(stack, root)
        try:
            await place.open()
            yield place
        finally:
            await place.close()


def _empty(root: Path) -> None:
    Stack(root, environ={}).stop()
    shutil.rmtree(root, ignore_errors=True)
