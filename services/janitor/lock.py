"""One janitor at a time for each duty, however many run: a Postgres advisory lock that lives and dies with its connection.

A janitor that is killed loses the lock with its connection. One whose connection breaks in the middle of a sweep finds out at its next
statement, as the sweep's statements use that very connection; until then two may sweep, which duties must bear anyway.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from common.database import Connection, Pool

_CLASS = 0x6A616E69  # "jani"; one lock of this class per duty


@asynccontextmanager
async def exclusive(pool: Pool, name: str) -> AsyncIterator[Connection | None]:
    """The connection that holds the lock `name` for the time of the block, or None when another janitor has it."""
    async with pool.acquire() as connection:
        held = await connection.fetchval("select pg_try_advisory_lock($1, hashtext($2))", _CLASS, name)
        try:
            yield connection if held else None
        finally:
            await _unlock(connection)


async def _unlock(connection: Connection) -> None:
    """Whatever state the connection is in; a broken one has unlocked by breaking."""
    if connection.is_closed():
        return
    try:
        await connection.reset()
    except BaseException:
        connection.terminate()  # or the pool would hand it out with the lock
        raise
