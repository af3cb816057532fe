"""What happens to an upload that tus brings: it is created, appended to from where it stands, and finished with its last byte.

A job can be made of it then as of any other upload. If the request that brought the last byte is cut off, submitting the job finishes it.
"""

from typing import Any

from litestar import Request

from common.database import Pool
from common.errors import PermanentError
from common.ids import JobId
from common.resumable import Upload, UploadStatus
from common.room import NoRoom
from common.storage import Storage
from services.ingest.arriving import Arrivals, wrong_status
from services.ingest.body import announced, streamed
from services.ingest.problems import Problem
from services.ingest.tus import headers
from services.ingest.tus.appending import Append, beyond

_SILENT_SECONDS = 10.0  # and who lost the connection without our noticing is let in again


class Files:
    """The tus uploads of all tenants."""

    def __init__(self, pool: Pool, storage: Storage, arrivals: Arrivals) -> None:
        self._pool = pool
        self._storage = storage
        self._arrivals = arrivals

    async def create(self, request: Request[Any, Any, Any], tenant: str) -> Upload:
        """A new upload, with as much of it as comes along. Of one that is refused nothing is left."""
        size = headers.number(request.headers, "Upload-Length")
        named = headers.metadata(request.headers)
        checksum = headers.checksum(request.headers)
        upload = await self._arrivals.begin(
            tenant,
            "tus",
            filename=named.get("filename", named.get("name", "")),
            size=size,
            sha256=_sha256(named),
            metadata=request.headers.get("upload-metadata", ""),
        )
        if request.headers.get("content-type") != headers.CONTENT_TYPE:
            return upload
        try:
            return await self._append(request, upload.id, tenant, 0, checksum)
        except (Problem, NoRoom):
            if (await self._arrivals.known(upload.id, tenant)) is not None:
                await self._arrivals.remove(upload.id, tenant)
            raise

    async def append(self, request: Request[Any, Any, Any], upload_id: JobId, tenant: str) -> Upload:
        """More of an upload, from where it stands."""
        if request.headers.get("content-type") != headers.CONTENT_TYPE:
            raise Problem(
                415,
                "unsupported_media_type",
                f"Send 'Content-Type: {headers.CONTENT_TYPE}'.",
                field="Content-Type",
                allowed=[headers.CONTENT_TYPE],
            )
        offset = headers.number(request.headers, "Upload-Offset")
        checksum = headers.checksum(request.headers)
        upload = await self.find(upload_id, tenant)
        if upload.status is not UploadStatus.UPLOADING:
            if offset == upload.size and not announced(request):
                return upload  # the answer that said so was lost
            raise wrong_status(upload)
        return await self._append(request, upload_id, tenant, offset, checksum)

    async def find(self, upload_id: JobId, tenant: str) -> Upload:
        """The upload, if tus brings it."""
        upload = await self._arrivals.find(upload_id, tenant)
        if upload.protocol != "tus":
            raise Problem(404, "upload_not_found", f"There is no tus upload {upload_id}.")
        return upload

    async def _append(
        self, request: Request[Any, Any, Any], upload_id: JobId, tenant: str, offset: int, checksum: headers.Checksum | None
    ) -> Upload:
        async with self._arrivals.working(upload_id, tenant) as upload:
            if offset != upload.received:
                raise Problem(409, "offset_conflict", f"The upload has {upload.received} bytes; go on from there.", offset=upload.received)
            if offset + (announced(request) or 0) > upload.size:
                raise beyond(upload)
            try:
                appended = await Append(self._pool, self._storage, self._arrivals, upload, checksum).run(streamed(request, _SILENT_SECONDS))
            except PermanentError:
                raise await self._arrivals.lost(upload) from None
            except Problem as problem:
                if problem.code == "unsupported_media_type":
                    await self._arrivals.remove(upload_id, tenant)
                raise
            if appended.received < appended.size:
                return appended
            return await self._arrivals.finish(appended, await self._arrivals.recorded(appended))


def _sha256(named: dict[str, str]) -> str | None:
    """What the client says of the whole recording, in hex."""
    text = named.get("sha256")
    if text is None:
        return None
    try:
        if len(bytes.fromhex(text)) == 32:
            return text.lower()
    except ValueError:
        pass
    raise Problem(400, "invalid_header", "Upload-Metadata: sha256 is not a SHA-256 in hex.", field="Upload-Metadata")
