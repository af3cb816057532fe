"""LISTEN on a connection of its own, outside the pool, opened again when it is lost.

A notification only wakes; what it wakes always looks at the tables, so a lost one costs a poll's delay and nothing else. A connection that
is closed is noticed at once, one that is silently dead by a bounded `select 1`.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import asyncpg
import structlog

from common import patience
from common.database import AWAY

log = structlog.get_logger(__name__)

_PROBE_SECONDS = 10.0
_RETRY_SECONDS = 1.0


async def listen(database_url: str, handlers: Mapping[str, Callable[[str], None]]) -> None:
    """Call `handlers[channel](payload)` for each notification, for ever."""
    while True:
        try:
            connection = await asyncpg.connect(database_url, timeout=10, server_settings={"application_name": "verbatim-listen"})
            closed = asyncio.Event()
            connection.add_termination_listener(lambda _connection, closed=closed: closed.set())
            try:
                for channel, handler in handlers.items():
                    await connection.add_listener(channel, _adapt(handler))
                    handler("")  # what was notified while nobody listened
                while True:
                    await patience.wait(closed, _PROBE_SECONDS)
                    await connection.execute("select 1", timeout=5)  # raises at once when it is closed
            finally:
                connection.terminate()
        except AWAY as error:
            log.warning("listener lost", error=repr(error))
            await asyncio.sleep(_RETRY_SECONDS)


def _adapt(handler: Callable[[str], None]) -> Callable[[Any, int, str, object], None]:
    return lambda _connection, _pid, _channel, payload: handler(str(payload))
