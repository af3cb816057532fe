"""What takes its time to look up, and may be a little old: looked up once for all who ask.

It is kept for a second, or, when a look takes long, for twenty times as long as it took: looking never takes more than a twentieth of one
connection's time, however often it is asked for.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_LEAST_SECONDS = 1.0
_TIMES = 20


class Kept(Generic[T]):
    """One thing, of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = asyncio.Lock()
        self._found: T | None = None
        self._good_until = 0.0

    async def get(self, look: Callable[[], Awaitable[T]]) -> T:
        """As it was lately; `look` is how to look it up, if that has to be done, and gives no None."""
        async with self._lock:
            if self._found is None or self._clock() > self._good_until:
                began = self._clock()
                self._found = await look()
                ended = self._clock()
                self._good_until = ended + max(_LEAST_SECONDS, _TIMES * (ended - began))
            return self._found
