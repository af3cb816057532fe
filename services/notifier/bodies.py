"""The bytes that a webhook sends: what was laid down at its event, completed to the form that the receiver asked for.

What was heard is never kept with the delivery, where it would outlive its expiry: it is read from the store for each attempt. Results do
not change, so every attempt sends the same, until the result has expired; then it sends what there is without it. A transcript that is
larger than a receiver can be expected to take is not in the body but behind a pre-signed link, and so is one that the store does not give
just now.
"""

import asyncio
import math
from datetime import UTC, datetime, timedelta
from typing import assert_never

import msgspec

from common import transcript, webhook
from common.database import Pool
from common.errors import PermanentError, TransientError
from common.jobs.job import Job, Status
from common.rendering import process as rendering
from common.storage import Storage
from common.webhook import Link
from services.notifier import deliveries, process
from services.notifier.deliveries import Attempt
from services.notifier.persistence import persist

LINK = timedelta(hours=24)
"""How long a link works, unless the result expires before."""

KEPT = timedelta(hours=1)
"""How long it works at the least, also where a result is kept for no time at all."""

_PATIENCE = timedelta(seconds=5)
_LONGEST = timedelta(days=7)
"""No signature is valid for longer."""


class Body(msgspec.Struct, frozen=True):
    """What is sent; with a link in it, for how long the result must be kept from then on."""

    data: bytes
    keep: timedelta | None = None


class Bodies:
    """`most_bytes` of a transcript are put into a body, if the store gives them within its `patience`."""

    def __init__(self, *, pool: Pool, storage: Storage, most_bytes: int, patience: timedelta = _PATIENCE) -> None:
        self._pool = pool
        self._storage = storage
        self._most = most_bytes
        self._patience = patience.total_seconds()

    async def of(self, attempt: Attempt) -> Body:
        """What to send in this attempt."""
        match attempt.form:
            case "thin":
                return Body(attempt.body)
            case "full" if attempt.event_type == "job.completed":
                return await self._full(attempt)
            case "full":
                return Body(attempt.body)
            case "process" if attempt.event_type == "job.completed":
                return await self._process(attempt)
            case "process":
                return Body(process.failed(attempt.body))
        assert_never(attempt.form)

    async def _full(self, attempt: Attempt) -> Body:
        match await self._found(attempt):
            case None:
                return Body(attempt.body)
            case Link() as link:
                return Body(webhook.with_link(attempt.body, link), KEPT)
            case _, bytes(data):
                return Body(webhook.with_transcript(attempt.body, data))

    async def _process(self, attempt: Attempt) -> Body:
        match await self._found(attempt):
            case None:
                return Body(process.completed(attempt.body, None))
            case Link(url=url):
                return Body(process.completed(attempt.body, None, url), KEPT)
            case job, bytes(data):
                return Body(process.completed(attempt.body, rendering.result(job, transcript.decode(data))))

    async def _found(self, attempt: Attempt) -> tuple[Job, bytes] | Link | None:
        """The job and its transcript, or where that is; None when it is no more."""
        job = await persist(self._pool, lambda connection: deliveries.job_of(connection, attempt))
        if job is None or job.status is not Status.COMPLETED or job.result is None:
            return None
        key = job.result.keys["transcript"]
        try:
            async with asyncio.timeout(self._patience):
                size = await self._storage.size(key)
                if size <= self._most:
                    return job, await self._storage.get(key)
        except PermanentError:
            return None
        except (TransientError, TimeoutError):
            return await self._link(job, key, attempt, None)
        return await self._link(job, key, attempt, size)

    async def _link(self, job: Job, key: str, attempt: Attempt, size: int | None) -> Link:
        left = LINK if job.expires_at is None else min(LINK, job.expires_at - attempt.claimed_at)
        until = attempt.claimed_at + max(left, KEPT)
        url = await self._storage.presign(key, lifetime=_by_own_clock(until), filename="transcript.json", content_type="application/json")
        return Link(url=url, expires_at=until, size=size)


def _by_own_clock(until: datetime) -> timedelta:
    """How long a URL is to live that is signed now, to work until then by the database's clock.

    The signature's time is this process's, in whole seconds. What its clock is behind is added here, or the link would be dead too early by
    as much; what it is ahead is taken off, though the store may not take the link before the time that it names.
    """
    seconds = math.ceil((until - datetime.now(UTC)).total_seconds()) + 1
    return min(max(timedelta(seconds=seconds), timedelta(seconds=1)), _LONGEST)
