"""Multipart uploads that were begun long ago and neither completed nor aborted: their parts take space and show in no listing.

They are left by an ingest that was killed or lost the store in the middle of an upload. An upload that is still running after that long
is aborted as well.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta

from common.storage import StaleUpload, Storage
from common.storage_keys import PREFIXES
from common.tolerance import attempt_each
from services.janitor.duty import Counts, Sweep
from services.janitor.paging import pages

_PAGE = 100
_AT_ONCE = 4


class Uploads:
    name = "uploads"

    def __init__(self, storage: Storage, age: timedelta) -> None:
        self._storage = storage
        self._age = age

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        before = sweep.now - self._age
        for prefix in PREFIXES:
            async with aclosing(pages(self._storage.open_uploads(prefix), _PAGE)) as listing:
                async for page in listing:
                    stale = [upload for upload in page if upload.initiated < before]
                    for upload in stale:
                        sweep.tell(self.name, key=upload.key, initiated=upload.initiated.isoformat())
                    aborted = stale if sweep.dry_run else await attempt_each(stale, self._abort, at_once=_AT_ONCE)
                    yield Counts(len(page), swept=len(aborted), failed=len(stale) - len(aborted))

    async def _abort(self, upload: StaleUpload) -> None:
        await self._storage.abort_upload(upload.key, upload.upload_id)
