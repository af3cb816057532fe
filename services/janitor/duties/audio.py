"""Recordings that go before their result does: those of jobs that ended longer ago than the audio is kept, and those that were redacted.

The listing of the bucket is the list of what is still to be deleted, so no mark on the job is needed, and a sweep that is killed leaves
nothing half done. What belongs to no job is the orphans' duty.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime, timedelta

from common.jobs import store
from common.jobs.job import Status
from common.jobs.store import Owner
from common.storage import Storage
from common.storage_keys import AUDIO, parse_key
from services.janitor.duty import Counts, Sweep
from services.janitor.paging import pages

_PAGE = 1_000


class Audio:
    name = "audio"

    def __init__(self, storage: Storage, retention: timedelta | None) -> None:
        """Without a `retention`, only what was redacted goes before its result does."""
        self._storage = storage
        self._retention = retention

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        before = None if self._retention is None else sweep.now - self._retention
        async with aclosing(pages(self._storage.objects(AUDIO), _PAGE)) as listing:
            async for page in listing:
                jobs = {found.key: place.job_id for found in page if (place := parse_key(found.key)) is not None}
                owners = await store.owners(sweep.connection, set(jobs.values()))
                over = [key for key, job_id in jobs.items() if is_over(owners.get(job_id), before)]
                for key in over:
                    sweep.tell(self.name, key=key)
                if not sweep.dry_run:
                    await self._storage.delete(over)
                yield Counts(len(page), swept=len(over))


def is_over(owner: Owner | None, before: datetime | None) -> bool:
    """Whether a recording's job has ended, and did so before that moment; or at all, if a redacted copy has taken the recording's place."""
    if owner is None or owner.finished_at is None or not owner.status.final:
        return False
    replaced = owner.redact and owner.status is Status.COMPLETED
    return replaced or (before is not None and owner.finished_at < before)
