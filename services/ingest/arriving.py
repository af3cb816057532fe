"""Uploads on their way in, whatever protocol brings them: begun, worked on by one request at a time, finished, removed.

An upload is finished when its object was made and read from beginning to end: that tells its SHA-256, which the store cannot for an object
of parts, and whether it is a recording at all. Each step may be repeated: who finds the object already made goes on with reading it. What
turns out to be no recording, or another one than announced, is removed.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta

import structlog

from common import ids, resumable
from common.database import AWAY, Connection, Pool
from common.errors import PermanentError, VerbatimError
from common.ids import JobId, LeaseToken
from common.jobs.job import Source
from common.multipart import Part
from common.resumable import New, Protocol, Upload, UploadStatus
from common.storage import Storage
from common.storage_keys import source_key
from services.ingest import recording
from services.ingest.admission import Admission
from services.ingest.problems import Problem, too_large
from services.ingest.settings import Settings
from services.ingest.upload_parts import part_size

LEASE = timedelta(seconds=20)

log = structlog.get_logger(__name__)


class Arrivals:
    """The uploads of all tenants."""

    def __init__(self, pool: Pool, storage: Storage, admission: Admission, settings: Settings) -> None:
        self._pool = pool
        self._storage = storage
        self._admission = admission
        self.lifetime = settings.upload_retention
        self.limit = settings.max_upload_bytes

    async def begin(
        self, tenant: str, protocol: Protocol, *, filename: str, size: int, sha256: str | None = None, metadata: str = ""
    ) -> Upload:
        """(new) -> uploading."""
        if size > self.limit:
            raise too_large(self.limit)
        if size == 0:
            raise Problem(422, "empty_file", "The file is empty.", field="size")
        await self._admission.check(self._pool, tenant)
        upload_id = JobId(ids.new())
        new = New(
            id=upload_id,
            tenant=tenant,
            protocol=protocol,
            filename=recording.shortened(filename),
            size=size,
            part_size=part_size(size),
            multipart_id=await self._storage.multipart.begin(source_key(upload_id)),
            sha256=sha256,
            metadata=metadata,
        )
        try:
            async with self._pool.acquire() as connection:
                return await resumable.create(connection, new, self.lifetime)
        except BaseException:
            # After a lost commit there may be a row all the same; it then has nothing to put parts into, and says so.
            with contextlib.suppress(VerbatimError):
                await asyncio.shield(self._storage.abort_upload(source_key(upload_id), new.multipart_id))
            raise

    async def known(self, upload_id: JobId, tenant: str) -> Upload | None:
        """The upload; None when there is none, or another tenant's, or when its time is over."""
        async with self._pool.acquire() as connection:
            return await resumable.get(connection, upload_id, tenant)

    async def find(self, upload_id: JobId, tenant: str) -> Upload:
        """The same, or 404."""
        return _there(upload_id, await self.known(upload_id, tenant))

    @asynccontextmanager
    async def working(self, upload_id: JobId, tenant: str) -> AsyncIterator[Upload]:
        """The upload, which takes more bytes, for this request alone."""
        token = LeaseToken(ids.new())
        async with self._pool.acquire() as connection:
            upload = await resumable.lease(connection, upload_id, tenant, token, LEASE)
        if upload is None:
            found = await self.find(upload_id, tenant)
            raise locked() if found.status is UploadStatus.UPLOADING else wrong_status(found)
        renewing = asyncio.create_task(self._renew(upload), name=f"renew-upload-{upload_id}")
        try:
            yield upload
        finally:
            renewing.cancel()
            await asyncio.shield(self._release(upload))

    async def touched(self, upload_id: JobId, tenant: str) -> Upload:
        """The upload, which takes more bytes, after a sign of life."""
        async with self._pool.acquire() as connection:
            upload = await resumable.touch(connection, upload_id, tenant, self.lifetime)
        if upload is None:
            raise wrong_status(await self.find(upload_id, tenant))
        return upload

    async def parts(self, upload: Upload) -> list[Part] | None:
        """What the store has of an upload in parts; None when it takes no more of it: the object was made of them, or they are gone."""
        try:
            return await self._storage.multipart.parts(upload.key, upload.multipart_id)
        except PermanentError:
            return None

    async def recorded(self, upload: Upload) -> list[Part]:
        """What a tus upload is made of."""
        async with self._pool.acquire() as connection:
            return await resumable.parts(connection, upload)

    async def finish(self, upload: Upload, parts: Sequence[Part], *, sha256: str | None = None) -> Upload:
        """uploading -> ready, for the request that has the upload. `sha256` is what the client now says it should be."""
        if not (parts and await self._completed(upload, parts)) and not await self.made(upload):
            raise await self.lost(upload)
        try:
            source = await self._inspected(upload, sha256 or upload.sha256)
        except PermanentError:  # it was removed meanwhile
            raise await self.lost(upload) from None
        except Problem:
            await self.remove(upload.id, upload.tenant)
            raise
        async with self._pool.acquire() as connection:
            finished = await resumable.finish(connection, upload, source, self.lifetime)
        if finished is None:
            raise locked()
        log.info("upload ready", upload_id=str(upload.id), size=source.size, content_type=source.content_type)
        return finished

    async def lost(self, upload: Upload) -> Problem:
        """410: what was received is not there any more, so the upload is of no use."""
        await self.remove(upload.id, upload.tenant)
        return Problem(410, "upload_lost", "The store no longer has what was uploaded; upload it again.")

    async def made(self, upload: Upload) -> bool:
        """Whether the object is there: a request that finished the upload died, or lost the database, before it could say so."""
        return await self._storage.exists(upload.key)

    async def ready(self, upload_id: JobId, tenant: str) -> Upload:
        """An upload that a job can be made of. A tus upload whose last request was cut off when all had come is finished here.

        Nobody has looked for its object since it was finished, and a job's row must never point at nothing.
        """
        upload = await self.find(upload_id, tenant)
        if upload.status is UploadStatus.UPLOADING and upload.protocol == "tus" and upload.received == upload.size:
            async with self.working(upload_id, tenant) as leased:
                upload = await self.finish(leased, await self.recorded(leased))
        if upload.status is not UploadStatus.READY:
            raise wrong_status(upload)
        if not await self.made(upload):
            raise await self.lost(upload)
        return upload

    async def submit(self, connection: Connection, upload_id: JobId, tenant: str) -> None:
        """ready -> submitted, in the transaction that creates the job. Raises `Problem` when another request was faster."""
        if await resumable.submit(connection, upload_id, tenant) is None:
            raise wrong_status(_there(upload_id, await resumable.get(connection, upload_id, tenant)))

    async def remove(self, upload_id: JobId, tenant: str) -> None:
        """uploading | ready -> (gone). What cannot be deleted now is left to the janitor."""
        async with self._pool.acquire() as connection:
            upload = await resumable.abandon(connection, upload_id, tenant)
        if upload is None:
            raise wrong_status(await self.find(upload_id, tenant))
        await resumable.discard(self._storage, upload)
        async with self._pool.acquire() as connection:
            await resumable.forget(connection, upload_id)

    async def _completed(self, upload: Upload, parts: Sequence[Part]) -> bool:
        """Make the object of its parts; False when the store knows of none."""
        try:
            await self._storage.multipart.complete(upload.key, upload.multipart_id, parts)
        except PermanentError:
            return False
        return True

    async def _inspected(self, upload: Upload, sha256: str | None) -> Source:
        async with aclosing(self._storage.read(upload.key)) as chunks:
            source = await recording.receive(upload.filename, chunks, recording.discard)
        if sha256 is not None and source.sha256 != sha256:
            raise Problem(
                422,
                "checksum_mismatch",
                "What arrived has another SHA-256 than you announced; upload it again.",
                field="sha256",
                sha256=source.sha256,
            )
        return source

    async def _renew(self, upload: Upload) -> None:
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 4)
            try:
                async with self._pool.acquire() as connection:
                    await resumable.renew(connection, upload, LEASE)
            except AWAY as error:  # the next guarded write will tell whether it is still ours
                log.warning("upload's lease not renewed", error=repr(error))

    async def _release(self, upload: Upload) -> None:
        with contextlib.suppress(*AWAY):  # then the lease runs out
            async with self._pool.acquire() as connection:
                await resumable.release(connection, upload)


def _there(upload_id: JobId, upload: Upload | None) -> Upload:
    if upload is None:
        raise Problem(404, "upload_not_found", f"There is no upload {upload_id}; it may have been removed, or its time is over.")
    return upload


def locked() -> Problem:
    """423: one request at a time."""
    return Problem(423, "upload_locked", "Another request works on this upload; ask again when it is over.", headers={"Retry-After": "2"})


def wrong_status(upload: Upload) -> Problem:
    """409: the upload is not where it would have to be."""
    match upload.status:
        case UploadStatus.SUBMITTED:
            return Problem(
                409, "upload_submitted", "A job was made of this upload; what becomes of it is the job's now.", job_id=str(upload.id)
            )
        case UploadStatus.READY:
            return Problem(409, "upload_ready", "The upload is complete and takes no more bytes; make a job of it.")
        case _:
            return Problem(
                409,
                "upload_incomplete",
                "The upload is not complete; send what is missing"
                + (", then POST …/complete." if upload.protocol == "parts" else f": it has {upload.received} of {upload.size} bytes."),
            )
