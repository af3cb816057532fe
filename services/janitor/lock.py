"""One janitor at a time for each duty, however many run: a Postgres advisory lock that lives and dies with its connection.

A janitor that is killed loses the lock with its connection. One whose connection breaks in the middle of a sweep finds out at its next
statement, as the sweep's statements use that very connection; until then two may sweep, which duties must bear anyway. The server ends the
connection of one that stands still, which would answer keep-alives for ever.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from common.database import Connection, Pool

_CLASS = 0x6A616E69  # "jani"; one lock of this class per duty
_ABANDONED = timedelta(minutes=5)
"""More than a batch takes in which nothing is asked of the database, as when the store takes its time with each of its tries."""


@asynccontextmanager
async def exclusive(pool: Pool, name: str, *, abandoned: timedelta = _ABANDONED) -> AsyncIterator[Connection | None]:
    """The connection that holds the lock `name` for the time of the block, or None when another janitor has it.

    The server ends it when nothing was asked of it for as long as `abandoned`.
    """
    async with pool.acquire() as connection:
        await connection.execute("select set_config('idle_session_timeout', $1, false)", f"{abandoned.total_seconds()}s")
        held = await connection.fetchval("select pg_try_advisory_lock($1, hashtext($2))", _CLASS, name)
        yield connection if held else None
        # The pool resets a connection that is given back, whatever state it is in, which unlocks; a broken one has unlocked by breaking.
