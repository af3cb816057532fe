"""The three servers that Verbatim stands on, started together: ours, or the user's own where the environment names one."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from deploy.local.errors import StackError
from deploy.local.lock import exclusive
from deploy.local.postgres import Postgres
from deploy.local.rabbitmq import RabbitMQ
from deploy.local.seaweedfs import BUCKET, SeaweedFS
from deploy.local.server import Server


class S3(msgspec.Struct, frozen=True, kw_only=True):
    endpoint_url: str
    bucket: str
    access_key: str
    secret_key: str


class Stack:
    """Postgres, RabbitMQ and S3 in one private directory. Also a context manager: started on entry, stopped on exit.

    Every method blocks. A server can be stopped, killed and started again on its own: `stack.rabbitmq.kill()`.
    """

    def __init__(self, root: Path, environ: Mapping[str, str] = os.environ, *, durable: bool = True) -> None:
        self.root = root.absolute()
        self.postgres = Postgres(self.root, durable=durable)
        self.rabbitmq = RabbitMQ(self.root)
        self.seaweedfs = SeaweedFS(self.root)
        self._database_url = environ.get("DATABASE_URL")
        self._amqp_url = environ.get("AMQP_URL")
        self._s3 = _s3_of_user(environ)

    @property
    def servers(self) -> tuple[Server, ...]:
        """Those that are ours to run."""
        replaced = {"postgres": self._database_url, "rabbitmq": self._amqp_url, "seaweedfs": self._s3}
        return tuple(server for server in (self.postgres, self.rabbitmq, self.seaweedfs) if not replaced[server.name])

    @property
    def database_url(self) -> str:
        return self._database_url or self.postgres.url

    @property
    def amqp_url(self) -> str:
        return self._amqp_url or self.rabbitmq.url

    @property
    def s3(self) -> S3:
        if self._s3:
            return self._s3
        server = self.seaweedfs
        return S3(endpoint_url=server.url, bucket=BUCKET, access_key=server.access_key, secret_key=server.secret_key)

    @property
    def environment(self) -> dict[str, str]:
        """How a service finds the servers."""
        return {
            "DATABASE_URL": self.database_url,
            "AMQP_URL": self.amqp_url,
            "S3_ENDPOINT_URL": self.s3.endpoint_url,
            "S3_BUCKET": self.s3.bucket,
            "AWS_ACCESS_KEY_ID": self.s3.access_key,
            "AWS_SECRET_ACCESS_KEY": self.s3.secret_key,
        }

    def start(self, report: Callable[[str], None] = lambda _: None) -> None:
        """Start what does not run, all at once, and return when everything answers. `report` is told each name that is ready."""

        def start(server: Server) -> None:
            server.start()
            report(server.name)

        self._all(start)

    def stop(self, report: Callable[[str], None] = lambda _: None) -> None:
        """Stop what runs, all at once; `report` is told each name that is gone."""

        def stop(server: Server) -> None:
            server.stop()
            report(server.name)

        self._all(stop)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        self.stop()

    def _all(self, action: Callable[[Server], None]) -> None:
        servers = self.servers
        # One command at a time: two that start the same stack would each choose ports and make secrets.
        with exclusive(self.root / "lock"), ThreadPoolExecutor(max_workers=max(1, len(servers))) as pool:
            outcomes = [pool.submit(action, server) for server in servers]
        problems = [problem for outcome in outcomes if (problem := outcome.exception())]
        if len(problems) == 1:
            raise problems[0]
        if problems:
            raise StackError("\n\n".join(str(problem) for problem in problems)) from problems[0]


def _s3_of_user(environ: Mapping[str, str]) -> S3 | None:
    endpoint = environ.get("S3_ENDPOINT_URL")
    if not endpoint:
        return None
    missing = [name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if not environ.get(name)]
    if missing:
        raise StackError(f"S3_ENDPOINT_URL is set, so {' and '.join(missing)} must be set too.")
    return S3(
        endpoint_url=endpoint,
        bucket=environ.get("S3_BUCKET") or BUCKET,
        access_key=environ["AWS_ACCESS_KEY_ID"],
        secret_key=environ["AWS_SECRET_ACCESS_KEY"],
    )
