"""Objects that no job owns: recordings without a row, results of attempts that lost, checkpoints of jobs that are done, what expiry left.

The page is listed before its owners are read, and young objects are passed over: so a row written a moment after its object is always seen.
Keys that are not ours are left alone.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import timedelta

import structlog

from common import resumable
from common.ids import JobId
from common.jobs import objects
from common.jobs.job import Status
from common.jobs.objects import Owner
from common.paging import pages
from common.storage import Object, Storage
from common.storage_keys import PREFIXES, Place, parse_key
from services.janitor.duty import Counts, Sweep, accounted

log = structlog.get_logger(__name__)

_PAGE = 1_000


class Orphans:
    name = "orphans"

    def __init__(self, storage: Storage, grace: timedelta) -> None:
        self._storage = storage
        self._grace = grace

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        for prefix in PREFIXES:
            async with aclosing(pages(self._storage.objects(prefix), _PAGE)) as listing:
                async for page in listing:
                    yield await self._clear(sweep, page)

    async def _clear(self, sweep: Sweep, page: list[Object]) -> Counts:
        places = {found.key: place for found in page if found.age > self._grace and (place := parse_key(found.key)) is not None}
        owners = await objects.owners(sweep.connection, {place.job_id for place in places.values()})
        orphans = {key: reason for key, place in places.items() if (reason := why_orphaned(place, owners)) is not None}
        for key in await resumable.owned(sweep.connection, {places[key].job_id for key in orphans}):
            orphans.pop(key, None)  # of an upload, of which a job may be made yet
        for key, reason in orphans.items():
            sweep.tell(self.name, key=key, reason=reason)
        late = sweep.late(sweep.now - found.age + self._grace for found in page if found.key in orphans)
        if sweep.dry_run:
            return Counts(len(page), swept=len(orphans), late=late)
        with accounted(Counts(len(page), failed=len(orphans), late=late)):
            kept = await self._storage.delete_each(orphans)
        if kept:
            error = next(iter(kept.values()))
            log.warning("left for the next sweep", objects=len(kept), code=error.code, error=error.message)
        return Counts(len(page), swept=len(orphans) - len(kept), failed=len(kept), late=late)


def why_orphaned(place: Place, owners: Mapping[JobId, Owner]) -> str | None:
    """Why nobody needs the object at `place` any more; None when its job owns it."""
    owner = owners.get(place.job_id)
    if owner is None:
        return "no job"
    if owner.status is Status.EXPIRED:
        return "job expired"
    if place.lease is not None and place.lease not in owner.leases:
        return "attempt lost"
    if place.kind == "checkpoints" and owner.status is Status.COMPLETED:
        return "job completed"
    return None
