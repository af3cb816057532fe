"""Servers and services together: brought up, looked at, and taken down. What `./run up`, `down` and `status` do.

`up` is idempotent: it starts what is missing or has died, restarts a service whose configuration changed, and leaves the rest be.
"""

import os
import platform
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import msgspec

from deploy.local.errors import StackError
from deploy.local.install import install_rabbitmq
from deploy.local.lock import exclusive
from deploy.local.private import Private
from deploy.local.service import FIRST_ANSWER, REPOSITORY, SERVICES, Service, fingerprint, local_environment
from deploy.local.stack import S3, Stack

ROOT = REPOSITORY / ".verbatim"
API_PORT = 8080
POLL_SECONDS = 0.05
# The transcriber is ready when its model is loaded, and the first time that has to be fetched.
READY_SECONDS = 900.0

Report = Callable[[str, str], None]
"""Told the name of a part and what it is doing; an empty text means that it is ready."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What `./run status --json` prints."""

    api_url: str
    amqp_url: str
    database_url: str
    s3: S3
    services: dict[str, list[int]]
    versions: dict[str, str]


class System:
    """Everything that runs from one directory."""

    def __init__(self, root: Path = ROOT, environ: Mapping[str, str] = os.environ) -> None:
        self.root = root
        self.stack = Stack(root, environ)
        ports = {"ingest": _api_port(environ)}
        self.services = {name: Service(name, root, preferred_port=ports.get(name), insists=bool(environ.get("PORT"))) for name in SERVICES}
        self._environ = environ
        self._wanted = root / "wanted"
        self._private = Private(root / "services" / "private.json")

    @property
    def api_url(self) -> str:
        return self.services["ingest"].url

    @property
    def wanted(self) -> bool:
        """Whether it is meant to be up: false from the moment that somebody takes it down, so that nobody starts it again."""
        return self._wanted.exists()

    @property
    def running(self) -> bool:
        """Whether everything runs already, ready or not."""
        return all(server.running for server in self.stack.servers) and all(service.pid for service in self.services.values())

    @property
    def webhook_secrets(self) -> list[str]:
        """Those with which the notifier signs."""
        return self._environment()["WEBHOOK_SECRETS"].split(",")

    def up(self, report: Report) -> None:
        """Start what does not run and wait until all of it is ready. Raises `StackError` that says what is wrong."""
        self.root.mkdir(parents=True, exist_ok=True)
        self._wanted.touch()
        if self.stack.rabbitmq in self.stack.servers:
            install_rabbitmq(self.root / "log" / "install.log", lambda text: report("rabbitmq", text))
        for name in (server.name for server in self.stack.servers if not server.running):
            report(name, "starting")
        self.stack.start(lambda name: report(name, ""))
        self.launch_services(report)
        self._wait_ready(report)

    def launch_services(self, report: Report) -> None:
        """Start the services that do not run, or run with another configuration. Does not wait until they are ready."""
        environment = self._environment()
        with exclusive(self.root / "services" / "lock"):
            for name, service in self.services.items():
                if service.pid is not None and service.process.fingerprint != fingerprint(environment):
                    report(name, "stopping, to start with the new configuration")
                    service.stop()
                if service.pid is None:
                    report(name, "starting")
                    service.launch(environment)

    def relaunch(self, name: str) -> None:
        """Start one service again that has died, unless somebody else has done so by now."""
        with exclusive(self.root / "services" / "lock"):
            if self.services[name].pid is None:
                self.services[name].launch(self._environment())

    def down(self, report: Report) -> None:
        """Stop the services, which drain, and then the servers."""
        self._wanted.unlink(missing_ok=True)
        with exclusive(self.root / "services" / "lock"), ThreadPoolExecutor() as pool:

            def stop(service: Service) -> None:
                if service.pid is not None:
                    report(service.name, "stopping")
                service.stop()
                report(service.name, "")

            list(pool.map(stop, self.services.values()))
        for server in self.stack.servers:
            if server.running:
                report(server.name, "stopping")
        self.stack.stop(lambda name: report(name, ""))

    def status(self) -> Status:
        versions = {"verbatim": metadata.version("verbatim"), "python": platform.python_version()}
        return Status(
            api_url=self.api_url,
            amqp_url=self.stack.amqp_url,
            database_url=self.stack.database_url,
            s3=self.stack.s3,
            services={name: [service.pid] if service.pid else [] for name, service in self.services.items()},
            versions=versions | {server.name: server.version() for server in self.stack.servers},
        )

    def _environment(self) -> dict[str, str]:
        return local_environment(self.stack, models=self.root.absolute() / "models", private=self._private, environ=self._environ)

    def _wait_ready(self, report: Report) -> None:
        waiting = dict(self.services)
        deadline = time.monotonic() + READY_SECONDS
        while waiting:
            for name, service in list(waiting.items()):
                waits_for = service.readiness()
                if service.pid is None:  # whoever answered at its port
                    raise service.process.failure(f"{name} ended while it was starting.")
                if waits_for is None:
                    del waiting[name]
                    report(name, "")
                elif waits_for != FIRST_ANSWER:
                    report(name, f"waiting for {waits_for}")
            if waiting and time.monotonic() > deadline:
                logs = ", ".join(str(service.process.log) for service in waiting.values())
                raise StackError(f"{', '.join(waiting)} did not become ready within {READY_SECONDS:.0f} s. See {logs}")
            if waiting:
                time.sleep(POLL_SECONDS)


def _api_port(environ: Mapping[str, str]) -> int:
    given = environ.get("PORT") or str(API_PORT)
    if not given.isdecimal() or not 0 < int(given) < 65536:
        raise StackError(f"PORT={given} is not a port number.")
    return int(given)
