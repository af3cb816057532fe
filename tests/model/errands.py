"""What takes several steps, run by the very code that the services run: deleting, trying again, expiring.

Each goes to the bucket between its transactions, and there it can be held up: so whatever others do at that moment comes in between.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from common.database import Pool
from common.errors import Refused
from common.ids import JobId
from common.jobs import listing
from common.jobs.job import Status
from common.jobs.listing import Filters
from common.storage import Object, Storage
from services.ingest import acting, clearing
from services.ingest.admission import Admission, Limits
from services.ingest.problems import Problem
from services.janitor.duties.expire import Expire
from services.janitor.duty import Sweep
from tests.model.steps import TENANT

MAKES = {
    "delete": {"job.cancelled", "job.deleted"},
    "clear": {"job.cancelled", "job.deleted"},
    "retry": {"job.requeued"},
    "expire": {"job.expired"},
}
"""The events that each kind of errand may add."""


class Shelf(Storage):
    """A bucket in memory. Before and after each visit its caller waits until it is let go on."""

    def __init__(self, gate: Callable[[], Awaitable[None]], keys: set[str]) -> None:
        self._gate = gate
        self._keys = keys

    async def exists(self, key: str) -> bool:
        await self._gate()
        found = key in self._keys
        await self._gate()
        return found

    async def delete_prefixes(self, prefixes: Iterable[str]) -> int:
        await self._gate()
        gone = {key for key in self._keys if key.startswith(tuple(prefixes))}
        self._keys -= gone
        await self._gate()
        return len(gone)

    async def page(self, prefix: str, *, after: str = "", size: int = 1_000) -> tuple[list[Object], bool]:
        found = sorted(key for key in self._keys if key.startswith(prefix) and key > after)
        return [Object(key, 1, timedelta(0)) for key in found[:size]], len(found) > size

    async def delete_each(self, keys: Iterable[str]) -> dict[str, Refused]:
        await self._gate()
        self._keys -= set(keys)
        await self._gate()
        return {}


class Errand:
    """One at a time goes on, from one gate to the next."""

    def __init__(self, kind: str, pool: Pool, keys: set[str], job_id: JobId, status: Status) -> None:
        self.kind = kind
        self.job_id = job_id
        self._held = asyncio.Event()
        self._free = asyncio.Event()
        shelf = Shelf(self._wait, keys)
        work: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
            "delete": lambda: acting.erase(pool, shelf, job_id, TENANT),
            "retry": lambda: acting.again(pool, shelf, Admission(Limits()), job_id, TENANT),
            "expire": lambda: _expire(pool, shelf),
            "clear": lambda: _clear(pool, shelf, status),
        }
        self._task = asyncio.ensure_future(work[kind]())

    @property
    def done(self) -> bool:
        return self._task.done()

    async def advance(self) -> None:
        """Until it is held up again, or has ended. A refusal is an end like any other."""
        self._held.clear()
        self._free.set()
        held = asyncio.ensure_future(self._held.wait())
        await asyncio.wait((held, self._task), return_when=asyncio.FIRST_COMPLETED)
        held.cancel()
        if self._task.done():
            with contextlib.suppress(Problem):
                self._task.result()

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _wait(self) -> None:
        self._free.clear()
        self._held.set()
        await self._free.wait()


async def _expire(pool: Pool, storage: Storage) -> None:
    async with pool.acquire() as connection:
        async for _ in Expire(storage).batches(Sweep(connection, datetime.now(UTC), dry_run=False)):
            pass


async def _clear(pool: Pool, storage: Storage, status: Status) -> None:
    async with pool.acquire() as connection:
        jobs = await listing.page(connection, TENANT, Filters(status=status), after=None, limit=3)
    if jobs:
        await clearing.delete_page(pool, storage, TENANT, status, jobs)
