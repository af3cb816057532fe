"""Delete all that is stored for many jobs, and say for which of them nothing is left: those alone may be forgotten.

What a row names is deleted first, a thousand objects a request; then whatever else lies under a job's prefixes, as archives, checkpoints
and losers' results are in no row. That is told by listing, where there can be any. Jobs that are dealt with together have neighbouring ids,
as a rule (they begin with a time), so they are listed together: a thousand objects a request where they lie close, a few where other jobs'
lie between them. Memory does not grow with the store.
"""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from uuid import UUID

import msgspec
import structlog

from common.errors import Refused
from common.ids import JobId
from common.jobs.job import Job, Status
from common.paging import pages
from common.storage import Object, Storage
from common.storage_keys import ARCHIVES, CHECKPOINTS, PREFIXES, job_prefix, owner

log = structlog.get_logger(__name__)

_PAGE = 1_000
_FEW = 10


class Emptied(msgspec.Struct, frozen=True):
    """The jobs of which nothing is left, in the order in which they were given, and how many objects were deleted."""

    jobs: list[JobId]
    objects: int


async def empty(storage: Storage, jobs: Sequence[Job]) -> Emptied:
    """Delete everything that is stored for the jobs, and pass over those of which the store refuses to delete some, be it all of them.

    Raises `TransientError` when a request fails as a whole: then nobody knows of which of them anything is left.
    """
    stuck = await storage.delete_each(key for job in jobs for key in job.keys)
    deleted = sum(len(job.keys) for job in jobs) - len(stuck)
    kept = {job.id: stuck[key] for job in jobs for key in job.keys if key in stuck}
    listed = [(prefix, [job.id for job in jobs if prefix in _unknown(job)]) for prefix in PREFIXES]
    # Should one fail, the others are at their end before anybody hears of it.
    emptied = await asyncio.gather(*(_empty_prefix(storage, prefix, job_ids) for prefix, job_ids in listed), return_exceptions=True)
    for outcome in emptied:
        if isinstance(outcome, BaseException):
            raise outcome
        others, left = outcome
        deleted += others
        kept |= left
    if kept:
        log.warning("left for another time", jobs=len(kept), error=next(iter(kept.values())).message)
    return Emptied([job.id for job in jobs if job.id not in kept], deleted)


def _unknown(job: Job) -> tuple[str, ...]:
    """Where there may be more than the job's row names: of one that was claimed once and completed, no attempt can have lost."""
    once = job.status is Status.COMPLETED and job.queued_at == job.created_at
    return (CHECKPOINTS, ARCHIVES) if once else PREFIXES


async def objects_of(storage: Storage, prefix: str, job_ids: Sequence[JobId]) -> AsyncIterator[Object]:
    """What lies under `prefix` for each of the jobs, in the order of keys."""
    wanted = sorted(str(job_id) for job_id in job_ids)
    place, after, size = 0, "", min(_PAGE, max(_FEW, len(wanted)))
    while place < len(wanted):
        start = job_prefix(prefix, wanted[place])
        page, more = await storage.page(prefix, after=max(after, start), size=size)
        hits = 0
        for found in page:
            job_id = owner(found.key)
            place = bisect_left(wanted, job_id, place)
            if place == len(wanted):
                return
            if wanted[place] == job_id:
                hits += 1
                yield found
        if not more or not page:
            return
        after = page[-1].key
        # Where others' objects lie in between, a smaller page finds the next of ours as well.
        size = min(_PAGE, max(_FEW, 2 * hits))


async def _empty_prefix(storage: Storage, prefix: str, job_ids: Sequence[JobId]) -> tuple[int, dict[JobId, Refused]]:
    """How many objects were deleted there, and the jobs of which some are left, with why."""
    deleted, stuck = 0, dict[JobId, Refused]()
    async with aclosing(pages(objects_of(storage, prefix, job_ids), _PAGE)) as listing:
        async for page in listing:
            kept = await storage.delete_each(found.key for found in page)
            deleted += len(page) - len(kept)
            stuck |= {JobId(UUID(owner(key))): error for key, error in kept.items()}
    return deleted, stuck
