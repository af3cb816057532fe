"""`/files`: thin, over `files` and `arriving`."""

from typing import Any
from uuid import UUID

from litestar import MediaType, Request, Response, delete, head, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath

from common.ids import JobId
from common.resumable import Upload
from services.ingest.arriving import Arrivals
from services.ingest.auth import caller
from services.ingest.refusals import REFUSALS, refusals
from services.ingest.tus import headers
from services.ingest.tus.files import Files
from services.ingest.tus.operations import BODY_REFUSED, EXPIRES, LENGTH, MISSING, OFFSET, Append, Create, Tus
from services.ingest.upload_documents import UploadDocument, document


def handlers(files: Files, arrivals: Arrivals) -> list[HTTPRouteHandler]:
    """Under `/files`."""

    @post(
        "/",
        status_code=201,
        summary="Create a tus upload",
        operation_class=Create,
        request_max_body_size=None,
        response_headers=[OFFSET, EXPIRES],
        responses={201: ResponseSpec(UploadDocument, description="Created", generate_examples=False)} | REFUSALS | BODY_REFUSED,
    )
    async def create_file(request: Request[Any, Any, Any]) -> Response[UploadDocument]:
        """tus 1.0 creation and creation-with-upload. The address in `Location` takes the rest; its last part is a job's `source.upload_id`.

        Job options belong to `POST /api/v1/jobs`, so metadata with the name of one is refused.
        """
        headers.check_version(request.headers)
        upload = await files.create(request, caller(request, "write").tenant)
        return Response(document(upload, []), status_code=201, headers=_progress(upload) | {"Location": f"/files/{upload.id}"})

    @head(
        "/{upload_id:uuid}",
        summary="How far a tus upload is",
        operation_class=Tus,
        media_type=MediaType.TEXT,  # of nothing: as JSON that would be `null`
        response_headers=[OFFSET, LENGTH, EXPIRES],
        responses=REFUSALS | MISSING,
    )
    async def read_file(request: Request[Any, Any, Any], upload_id: FromPath[UUID]) -> Response[None]:
        """What has been received is safe, and need not be sent again."""
        headers.check_version(request.headers)
        upload = await files.find(JobId(upload_id), caller(request, "read").tenant)
        told = _progress(upload) | {"Upload-Length": str(upload.size)}
        named = {"Upload-Metadata": upload.metadata} if upload.metadata else {}
        return Response(None, headers=told | named)

    @patch(
        "/{upload_id:uuid}",
        status_code=204,
        summary="Append to a tus upload",
        operation_class=Append,
        request_max_body_size=None,
        response_headers=[OFFSET, EXPIRES],
        responses=REFUSALS | BODY_REFUSED | MISSING | refusals({409: "The offset is another, or the upload is complete"}),
    )
    async def append_file(request: Request[Any, Any, Any], upload_id: FromPath[UUID]) -> Response[None]:
        """One request at a time, which may be cut anywhere: what came before is kept. With the last byte the recording is checked."""
        headers.check_version(request.headers)
        upload = await files.append(request, JobId(upload_id), caller(request, "write").tenant)
        return Response(None, status_code=204, headers=_progress(upload))

    @delete(
        "/{upload_id:uuid}",
        status_code=204,
        summary="Remove a tus upload",
        operation_class=Tus,
        responses=REFUSALS | MISSING | refusals({409: "A job was made of it"}),
    )
    async def remove_file(request: Request[Any, Any, Any], upload_id: FromPath[UUID]) -> Response[None]:
        """Delete an upload of which no job was made, with all that arrived of it."""
        headers.check_version(request.headers)
        tenant = caller(request, "write").tenant
        await arrivals.remove((await files.find(JobId(upload_id), tenant)).id, tenant)
        return Response(None, status_code=204)

    return [create_file, read_file, append_file, remove_file]


def _progress(upload: Upload) -> dict[str, str]:
    return {"Upload-Offset": str(upload.received), "Upload-Expires": headers.expires(upload.expires_at)}
