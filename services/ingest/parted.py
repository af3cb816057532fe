"""Recordings that clients put straight into the store, in parts, by addresses that are signed for them.

An address lets anyone put one part of one size for an hour. It is a secret: it stands in the answer that was asked for it and nowhere else.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from common.ids import JobId
from common.multipart import Part
from common.resumable import Upload, UploadStatus
from common.storage import Storage
from services.ingest import query, upload_parts
from services.ingest.arriving import Arrivals
from services.ingest.problems import Problem
from services.ingest.upload_documents import MOST_URLS, BegunUpload, Completion, NewUpload, PartUrl, PartUrls, document

URL_LIFETIME = timedelta(hours=1)


class Parted:
    """Uploads in parts."""

    def __init__(self, arrivals: Arrivals, storage: Storage) -> None:
        self._arrivals = arrivals
        self._storage = storage

    async def begin(self, tenant: str, asked: NewUpload) -> BegunUpload:
        """A new upload, with addresses of as many parts as one answer holds."""
        upload = await self._arrivals.begin(tenant, "parts", filename=asked.filename, size=asked.size, sha256=_lower(asked.sha256))
        numbers = [number for number, _ in upload_parts.sizes(upload.size, upload.part_size)]
        first = await self.addresses(upload, numbers[:MOST_URLS])
        return BegunUpload(**msgspec.structs.asdict(document(upload, [])), urls=first.urls, urls_expire_at=first.urls_expire_at)

    async def addresses(self, upload: Upload, numbers: Iterable[int]) -> PartUrls:
        """Where to put these parts."""
        _refuse_tus(upload)
        sizes = dict(upload_parts.sizes(upload.size, upload.part_size))
        urls = []
        for number in numbers:
            if number not in sizes:
                raise query.invalid("parts", f"there is no part {number}; the upload has {len(sizes)}")
            url = await self._storage.multipart.presign(upload.key, upload.multipart_id, number, size=sizes[number], lifetime=URL_LIFETIME)
            urls.append(PartUrl(number, sizes[number], url))
        return PartUrls(urls, datetime.now(UTC) + URL_LIFETIME)

    async def parts(self, upload: Upload) -> list[Part]:
        """What the store has of an upload that takes more."""
        if upload.protocol == "tus" or upload.status is not UploadStatus.UPLOADING:
            return []
        return await self._arrivals.parts(upload) or []

    async def complete(self, upload_id: JobId, tenant: str, asked: Completion) -> Upload:
        """uploading -> ready, if every part is there; an upload that is ready stays so."""
        upload = await self._arrivals.find(upload_id, tenant)
        _refuse_tus(upload)
        if upload.status is UploadStatus.READY:
            return upload
        async with self._arrivals.working(upload_id, tenant) as leased:
            found = await self._arrivals.parts(leased)
            if found is not None:
                claimed = None if asked.parts is None else {part.number: part.etag for part in asked.parts}
                upload_parts.check(found, leased.size, leased.part_size, claimed)
            return await self._arrivals.finish(leased, found or [], sha256=_lower(asked.sha256))


def _lower(sha256: str | None) -> str | None:
    return None if sha256 is None else sha256.lower()


def _refuse_tus(upload: Upload) -> None:
    if upload.protocol == "tus":
        raise Problem(409, "wrong_protocol", "This is a tus upload: its bytes go to /files, and it completes by itself.")
