"""Reading for many requests at once: those that come while a query is under way share the next one.

Polling is what an API of jobs is asked for most, and its queries cost it more than all else that an answer needs. No answer is older than
its request: a query never begins before those that share it have come.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from typing import Generic, TypeVar

from common.database import Connection, Pool

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Look = Callable[[Connection, Collection[K]], Awaitable[Mapping[K, V]]]
"""The query: what there is of those that are asked for."""


class Reads(Generic[K, V]):
    """One for each kind of thing, and process."""

    def __init__(self, pool: Pool, look: Look[K, V]) -> None:
        self._pool = pool
        self._look = look
        self._waiting: list[tuple[K, asyncio.Future[V | None]]] = []
        self._reading: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """What there is under the key. Raises what the query that was shared raised."""
        answer: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, answer))
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="reads")
        return await answer

    async def _read(self) -> None:
        """With one connection for as long as anybody waits: to take one and give it back costs more than a query."""
        try:
            while self._waiting:
                asked: list[tuple[K, asyncio.Future[V | None]]] = []
                try:
                    async with self._pool.acquire() as connection:
                        while self._waiting:
                            asked, self._waiting = self._waiting, []
                            found = await self._look(connection, {key for key, answer in asked if not answer.cancelled()})
                            for key, answer in asked:
                                if not answer.done():
                                    answer.set_result(found.get(key))
                except Exception as error:  # noqa: BLE001 - it is theirs
                    if not asked:
                        asked, self._waiting = self._waiting, []  # there was no connection to be had
                    for _, answer in asked:
                        if not answer.done():
                            answer.set_exception(error)
        finally:
            self._reading = None
