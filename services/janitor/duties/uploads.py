"""Multipart uploads that were begun long ago and neither completed nor aborted: their parts take space and show in no listing.

They are left by an ingest that was killed or lost the store in the middle of a submission. A submission that is still running after that
long is aborted as well; an upload over several requests has a row of its own, which says when it is over.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta

from common import resumable
from common.paging import pages
from common.storage import StaleUpload, Storage
from common.storage_keys import PREFIXES, parse_key
from common.tolerance import attempt_each
from services.janitor.duty import Counts, Sweep, accounted

_PAGE = 100
_AT_ONCE = 4


class Uploads:
    name = "uploads"

    def __init__(self, storage: Storage, age: timedelta) -> None:
        self._storage = storage
        self._age = age

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        for prefix in PREFIXES:
            async with aclosing(pages(self._storage.open_uploads(prefix), _PAGE)) as listing:
                async for page in listing:
                    old = {upload: parse_key(upload.key) for upload in page if upload.age > self._age}
                    kept = await resumable.owned(sweep.connection, {place.job_id for place in old.values() if place is not None})
                    stale = [upload for upload in old if upload.key not in kept]
                    for upload in stale:
                        sweep.tell(self.name, key=upload.key, age=upload.age.total_seconds())
                    found = Counts(len(page), late=sweep.late(sweep.now - upload.age + self._age for upload in stale))
                    with accounted(found + Counts(failed=len(stale))):
                        aborted = stale if sweep.dry_run else await attempt_each(stale, self._abort, at_once=_AT_ONCE)
                    yield found + Counts(swept=len(aborted), failed=len(stale) - len(aborted))

    async def _abort(self, upload: StaleUpload) -> None:
        await self._storage.abort_upload(upload.key, upload.upload_id)
