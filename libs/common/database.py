"""Postgres, reached through one pool per process, with SQL kept in `.sql` files.

jsonb columns travel as Python values. `Queries` reads a file whose queries are each headed by `-- name: claim_job`, so that a query has
the same name in SQL, in Python and in `pg_stat_activity`.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg
import msgspec

from common import patience

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InterfaceError,
    # On a connection that was told of its end but not closed yet, which lasts when the machine went before its last packet came.
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""What asyncpg raises when it is not for what was asked that Postgres did not do it, and it may be asked again: it cannot be reached, is
starting or going down, has no connection, memory or disk to spare, fails at the disk, is a copy that was not promoted yet, or had to take
back the transaction for another's sake, or because we stood still in it."""

_HEADER = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


class Queries:
    """`queries["claim_job"]` is that query's SQL, its leading comment included."""

    def __init__(self, path: Path) -> None:
        _, *parts = _HEADER.split(path.read_text())
        self._sql = {name: f"-- {name}\n{body.strip()}" for name, body in zip(parts[::2], parts[1::2], strict=True)}

    def __getitem__(self, name: str) -> str:
        return self._sql[name]


class Pool(asyncpg.Pool):
    """A pool that no cancellation gets lost in.

    Where a connection breaks at the moment at which the task that has it is cancelled, asyncpg fails to take back the transaction or to
    give back the connection, and that error takes the cancellation's place. It is one of `AWAY`, so whoever asks again would never end.
    Nor is a server that says nothing waited for by who is cancelled, or at the end: not for longer than `letting_go` seconds.

    A connection that breaks as it is given back is thrown away, and nobody is told: what was done with it is done, and who was told that
    Postgres is away would take back what goes with a commit.
    """

    letting_go = 5.0

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:  # type: ignore[override]  # only for a block, and with no limit of its own
        async with patience.heeding(), super().acquire() as connection:
            yield connection

    async def release(self, connection: asyncpg.pool.PoolConnectionProxy, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - inherited
        task = asyncio.current_task()
        cancelled = task is not None and task.cancelling()
        with contextlib.suppress(*AWAY):
            await super().release(connection, timeout=self.letting_go if cancelled else timeout)

    async def close(self) -> None:
        with contextlib.suppress(TimeoutError):  # who is cancelled while it closes cuts what is left
            async with asyncio.timeout(self.letting_go):
                await super().close()


@asynccontextmanager
async def connect(
    url: str, *, name: str, process: str = "", max_size: int = 10, abandoned: timedelta = timedelta(seconds=30)
) -> AsyncIterator[Pool]:
    """A pool whose connections carry `name` in `pg_stat_activity`. Waits for nothing: raises when Postgres is away.

    Events that are written through it are told to be `process`'s; without a name, to be anybody's.

    A process that is stopped in the middle of a transaction keeps its rows locked, from which others turn away: events that no relay takes,
    jobs that no worker claims. So a transaction in which nothing happens for as long as `abandoned` is ended by the server, and a machine
    that vanished is found out by keep-alives, which also frees what it held without a transaction.

    A connection is reset when it is given back. That round trip also finds out those which a stopping server has just given up: without
    it they are handed out again, and asyncpg fails on them with errors that no longer tell why.
    """
    async with Pool(
        url,
        min_size=1,
        max_size=max_size,
        max_queries=50_000,
        max_inactive_connection_lifetime=300,
        loop=None,
        connection_class=asyncpg.Connection,
        record_class=asyncpg.Record,
        init=_prepare,
        command_timeout=30,
        server_settings={
            "application_name": f"verbatim-{name}",
            "verbatim.process": process,
            "timezone": "UTC",
            "idle_in_transaction_session_timeout": str(round(abandoned / timedelta(milliseconds=1))),
            "tcp_keepalives_idle": "30",
            "tcp_keepalives_interval": "10",
            "tcp_keepalives_count": "3",
        },
    ) as pool:
        yield pool


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[1:]),
    )
