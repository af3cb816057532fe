"""Finished jobs past their time: first the bytes go, then the row becomes a tombstone with a receipt, and `job.expired` is announced.

In this order, since a row that is forgotten first would leave bytes that nobody looks for. Killed in between, the job is still due, and the
next sweep deletes what is left and goes on. A job whose bytes cannot be deleted stays as it is.

A page is small, and the next one waits for it: store, database, broker and listeners are busy with one thing at a time, and not for long,
so what others ask of the same machine never has to wait for much. Expiry is never far ahead of the relays, which publish what is announced:
events of jobs that wait to be worked on would have to wait behind.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Protocol

from common import outbox
from common.database import Connection
from common.emptying import empty
from common.jobs import removal
from common.jobs.job import Job
from common.storage import Storage
from services.janitor.duty import Counts, Sweep, accounted

_BATCH = 50
_AHEAD = 1_000
_BREATH_SECONDS = 0.05
_PATIENCE_SECONDS = 2.0
_UNHEARD = timedelta(days=7)
"""For so long after a job's end its result waits for a notifier that is away."""


class _Due(Protocol):
    async def __call__(self, connection: Connection, *, after: Job | None, limit: int) -> list[Job]: ...


class Expire:
    """All of them."""

    name = "expire"
    due: Sequence[_Due] = (removal.delivered, removal.due_to_expire)

    def __init__(self, storage: Storage, deliveries_kept: timedelta = _UNHEARD) -> None:
        """A delivery that is not there was never made, for as long after a job's end as they are kept."""
        self._storage = storage
        self._unheard = min(deliveries_kept, _UNHEARD)

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        async with aclosing(self._pages(sweep)) as pages:
            async for jobs in pages:
                found = Counts(len(jobs), late=sweep.late(job.expires_at for job in jobs))
                if sweep.dry_run:
                    yield found + Counts(swept=len(jobs))
                    continue
                with accounted(found + Counts(failed=len(jobs))):
                    emptied = set((await empty(self._storage, jobs)).jobs)
                    expired = await removal.expire(sweep.connection, [job for job in jobs if job.id in emptied])
                # One that is no longer due by now was changed by someone else, which is neither a success nor a failure of ours.
                yield found + Counts(swept=len(expired), failed=len(jobs) - len(emptied))
                await _until_published(sweep.connection)

    async def _pages(self, sweep: Sweep) -> AsyncGenerator[list[Job], None]:
        for due in self.due:
            last: Job | None = None
            while jobs := await due(sweep.connection, after=last, limit=_BATCH):
                last = jobs[-1]
                needed = await removal.promised(sweep.connection, [job.id for job in jobs], unheard=self._unheard)
                page = [job for job in jobs if job.id not in needed]
                for job in page:
                    sweep.tell(self.name, job_id=str(job.id), status=job.status.value)
                if page:
                    yield page


class Delivered(Expire):
    """Those of which nothing is kept after delivery, which is not to last until the next round of cleaning up."""

    name = "delivered"
    due = (removal.delivered,)


async def _until_published(connection: Connection) -> None:
    """Give the relays time, but no more than this: what is due goes also while the broker is away."""
    deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    while await outbox.backlog(connection, _AHEAD) >= _AHEAD and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - no relay tells
        await asyncio.sleep(_BREATH_SECONDS)
