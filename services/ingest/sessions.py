"""Open streams by the keys that opened them: when a key is revoked or its time is up, they end.

A notification tells of a revocation at once. All keys that have streams are asked about every few seconds anyway, in one query, which is
how keys that expire are noticed, and notifications that were lost.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import structlog

from common.database import AWAY, Pool
from services.ingest.auth import EVERYBODY

log = structlog.get_logger(__name__)

CHANNEL = "api_key"
_POLL_SECONDS = 10.0
_RETRY_SECONDS = 1.0
_LIVE = "select id from api_keys where id = any($1::uuid[]) and revoked_at is null and coalesce(expires_at > now(), true)"


class Sessions:
    """`notify` is called by the listener on `CHANNEL`; `on_end` when streams have to look whether they are over."""

    def __init__(self, on_end: Callable[[], None], poll: float = _POLL_SECONDS) -> None:
        self._on_end = on_end
        self._poll = poll
        self._open: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._wake = asyncio.Event()

    def notify(self, _key_id: str) -> None:
        """A key has changed."""
        if self._open:
            self._wake.set()

    @contextmanager
    def opened(self, key_id: UUID) -> Iterator[asyncio.Event]:
        """For the time of a stream: an event that is set when its key is no longer good."""
        over = asyncio.Event()
        if key_id == EVERYBODY.key_id:
            yield over
            return
        self._open[key_id].add(over)
        self._wake.set()  # it may have been revoked since it was shown
        try:
            yield over
        finally:
            self._open[key_id].discard(over)
            if not self._open[key_id]:
                del self._open[key_id]

    async def run(self, pool: Pool, stopping: asyncio.Event) -> None:
        """Look after the keys until `stopping`."""
        stop = asyncio.create_task(stopping.wait(), name="sessions-stopping")
        looking = asyncio.create_task(self._keep_looking(pool), name="sessions-looking")
        try:
            await asyncio.wait((stop, looking), return_when=asyncio.FIRST_COMPLETED)
            if looking.done():
                looking.result()
        finally:
            for task in (stop, looking):
                task.cancel()
            await asyncio.gather(stop, looking, return_exceptions=True)

    async def _keep_looking(self, pool: Pool) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._look(pool)
            except AWAY as error:
                log.warning("database away", error=repr(error))
                await asyncio.sleep(_RETRY_SECONDS)

    async def _look(self, pool: Pool) -> None:
        asked = set(self._open)
        if not asked:
            return
        live = {row["id"] for row in await pool.fetch(_LIVE, list(asked))}
        for key_id in asked - live:
            for over in self._open.get(key_id, ()):
                over.set()
        if asked - live:
            self._on_end()
