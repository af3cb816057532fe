"""Uploads past their time: of which no job was made, and of which one was, whose row is left, and pieces that a request left behind.

What no job was made of is abandoned first, so that none can be made of it any more; then its bytes go, and its row last. Killed in between,
it is found again. This also ends what a client removed and ingest could not delete.
"""

from collections.abc import AsyncGenerator

from common import resumable
from common.resumable import Upload, UploadStatus
from common.storage import Storage
from common.storage_keys import AUDIO, job_prefix
from common.tolerance import attempt_each
from services.janitor.duty import Counts, Sweep, accounted

_BATCH = 100
_AT_ONCE = 4


class ExpiredUploads:
    name = "expired_uploads"

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        last: Upload | None = None
        while uploads := await resumable.expired(sweep.connection, after=last, limit=_BATCH):
            last = uploads[-1]
            for upload in uploads:
                sweep.tell(self.name, upload_id=str(upload.id), status=upload.status.value)
            found = Counts(len(uploads), late=sweep.late(upload.expires_at for upload in uploads))
            with accounted(found + Counts(failed=len(uploads))):
                cleared = Counts(swept=len(uploads)) if sweep.dry_run else await self._clear(sweep, uploads)
            yield found + cleared

    async def _clear(self, sweep: Sweep, uploads: list[Upload]) -> Counts:
        for upload in uploads:
            await resumable.expire(sweep.connection, upload.id)
        # As they are by now: one may have become a job's, or have shown a sign of life.
        found = await resumable.read(sweep.connection, [upload.id for upload in uploads])
        abandoned = [upload for upload in found if upload.status is UploadStatus.ABANDONED]
        emptied = await attempt_each(abandoned, self._discard, at_once=_AT_ONCE)
        submitted = [upload for upload in found if upload.status is UploadStatus.SUBMITTED]
        cleared = await attempt_each(submitted, self._discard_tails, at_once=_AT_ONCE)
        forgotten = [await resumable.forget(sweep.connection, upload.id) for upload in (*emptied, *cleared)]
        failed = len(abandoned) + len(submitted) - len(emptied) - len(cleared)
        return Counts(swept=sum(forgotten), failed=failed)

    async def _discard(self, upload: Upload) -> None:
        await resumable.discard(self._storage, upload)

    async def _discard_tails(self, upload: Upload) -> None:
        """Pieces that were left beside what is the job's recording by now."""
        found = [each.key async for each in self._storage.objects(job_prefix(AUDIO, upload.id))]
        await self._storage.delete(key for key in found if key != upload.key)
