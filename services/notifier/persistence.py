"""Database work that waits out a Postgres restart, and is done again when Postgres took it back to end a deadlock.

The message that led to it stays unacked meanwhile, so nothing rests on this process: one that gives up or dies leaves the work to whoever
gets the message next.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
import structlog

from common.database import AWAY, Connection, Pool

T = TypeVar("T")

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 0.5


async def persist(pool: Pool, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Do `work`, which must be a guarded write, again and again while Postgres is away. Ends early only by being cancelled."""
    while True:
        try:
            async with pool.acquire() as connection:
                return await work(connection)
        except (*AWAY, asyncpg.TransactionRollbackError) as error:
            log.warning("database away", error=repr(error))
            await asyncio.sleep(_RETRY_SECONDS)
