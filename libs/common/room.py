"""Room for parts that fill up: places for so many in a process, so that its memory is bounded however many come, and however slowly.

The first bytes of a part need no place. Who finds none free waits for a turn, and a part that was sent gives back its place, so those who
are about as fast take turns by the part. A client that drips would keep its place for hours: where no turn comes for a while, the slowest
of those that are waited for is ended, if who waits has been much faster. Who waits in vain is refused. None waits for ever.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from common.errors import TransientError

PLACES = 16
FIRST_BYTES = 64 * 2**10

_TURN_SECONDS = 5.0
_PATIENCE_SECONDS = 30.0
_MUCH = 4.0
_OF_LATE_SECONDS = 10.0
_LEAST_SECONDS = 0.1


class NoRoom(TransientError):
    """More comes at once than there are places."""

    def __init__(self) -> None:
        super().__init__(
            "too_busy", "More recordings come at once than this server has room for, and the slowest make way; try again in a few seconds."
        )


class Room:
    """The places of a process."""

    def __init__(self, places: int = PLACES, *, turn: float = _TURN_SECONDS, patience: float = _PATIENCE_SECONDS) -> None:
        """`turn`: seconds after which a slow one makes way; `patience`: seconds after which who waits is refused."""
        self._places = asyncio.Semaphore(places)
        self._turn = turn
        self._patience = patience
        self._filling: set[Share] = set()

    @asynccontextmanager
    async def share(self) -> AsyncIterator["Share"]:
        """What one upload takes of it. Raises `NoRoom`, in the midst of the block where it has to make way."""
        end = asyncio.timeout(None)
        try:
            async with end:
                share = Share(self, end)
                try:
                    yield share
                finally:
                    share.empty()
        except TimeoutError:
            if end.expired():
                raise NoRoom from None
            raise

    async def enter(self, share: "Share") -> None:
        """Take a place. Raises `NoRoom`."""
        making_way = asyncio.create_task(self._make_way(share.speed), name="make-way")
        try:
            async with asyncio.timeout(self._patience):
                await self._places.acquire()
        except TimeoutError:
            raise NoRoom from None
        finally:
            making_way.cancel()
        self._filling.add(share)

    def leave(self) -> None:
        """Give a place back."""
        self._places.release()

    def settle(self, share: "Share") -> None:
        """It waits for its client no more."""
        self._filling.discard(share)

    async def _make_way(self, speed: float) -> None:
        slowest: Share | None = None
        while slowest is None or slowest.speed * _MUCH > speed:
            await asyncio.sleep(self._turn)
            slowest = min((share for share in self._filling if share.waits), key=lambda share: share.speed, default=None)
        self.settle(slowest)
        slowest.end()


class Share:
    """One upload's: at most one place for the part that is filling; those of parts on their way are whoever sends them's to give back."""

    def __init__(self, room: Room, end: asyncio.Timeout) -> None:
        self._room = room
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._bytes, self._seconds = 0.0, _LEAST_SECONDS
        self._waits_since: float | None = self._loop.time()
        self._has_place = False

    @property
    def waits(self) -> bool:
        """For its client."""
        return self._waits_since is not None

    @property
    def speed(self) -> float:
        """Bytes a second that the client has sent of late, while it was waited for."""
        size, seconds = self._of_late()
        return size / seconds

    @contextmanager
    def received(self, size: int) -> Iterator[None]:
        """The client has sent so many bytes, and is not waited for in the block."""
        kept, self._seconds = self._of_late()
        self._bytes = kept + size
        self._waits_since = None
        try:
            yield
        finally:
            self._waits_since = self._loop.time()

    async def hold(self, size: int) -> None:
        """Have room for a part that has grown to `size` bytes. Raises `NoRoom`."""
        if size > FIRST_BYTES and not self._has_place:
            await self._room.enter(self)
            self._has_place = True

    def settle(self) -> None:
        """All has come: it makes way for nobody any more."""
        self._room.settle(self)

    def hand_over(self) -> Callable[[], None]:
        """The part begins its way, and the next one is empty; whoever sends the part calls what this returns when it is sent."""
        self.settle()
        held, self._has_place = self._has_place, False
        return self._room.leave if held else _nothing

    def empty(self) -> None:
        """Nothing is held any more."""
        self.hand_over()()

    def end(self) -> None:
        """Break off the block in which this is used."""
        self._end.reschedule(self._loop.time())

    def _of_late(self) -> tuple[float, float]:
        waited = 0.0 if self._waits_since is None else self._loop.time() - self._waits_since
        fading = math.exp(-waited / _OF_LATE_SECONDS)
        return self._bytes * fading, self._seconds * fading + waited


def _nothing() -> None:
    """For a part that needed no place."""
