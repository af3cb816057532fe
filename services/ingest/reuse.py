"""Results that are there already: a repeated recording with the same options need not be transcribed again, if the client says so.

The new job gets a copy of its own, so that what becomes of the one never touches the other. When the original goes while it is copied,
there is nothing to be reused, and the job is queued like any other.
"""

from typing import NamedTuple

import msgspec
import structlog

from common import ids
from common.database import Pool
from common.errors import PermanentError
from common.ids import JobId, LeaseToken
from common.jobs import store
from common.jobs.job import Result
from common.jobs.kind import Kind
from common.storage import Storage
from common.storage_keys import copied_key
from services.ingest.recording import Received

log = structlog.get_logger(__name__)


class Reused(NamedTuple):
    """The copy, and what the recording had turned out to be."""

    result: Result
    kind: Kind


class Reuse:
    """Finds results and copies them."""

    def __init__(self, pool: Pool, storage: Storage) -> None:
        self._pool = pool
        self._storage = storage

    async def copied(self, tenant: str, job_id: JobId, received: Received) -> Reused | None:
        """What an earlier job came to, under keys of `job_id`; None when that was not asked for, or when there is none."""
        if not received.options.reuse:
            return None
        async with self._pool.acquire() as connection:
            original = await store.reusable(connection, tenant, received.source.sha256, received.options)
        if original is None or original.result is None:
            return None
        lease = LeaseToken(ids.new())
        keys = {name: copied_key(key, job_id, lease) for name, key in original.result.keys.items()}
        try:
            for name, key in keys.items():
                await self._storage.copy(original.result.keys[name], key)
        except PermanentError:
            log.info("result went while it was copied", job_id=str(original.id))
            return None
        return Reused(msgspec.structs.replace(original.result, keys=keys), original.source.kind)
