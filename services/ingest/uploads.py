"""`/api/v1/uploads`: thin, over `parted` and `arriving`."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath

from common.ids import JobId
from services.ingest import json_body
from services.ingest.arriving import Arrivals
from services.ingest.auth import caller
from services.ingest.body import streamed
from services.ingest.parted import Parted
from services.ingest.refusals import BODY, REFUSALS, refusals
from services.ingest.taking import taking
from services.ingest.upload_documents import AskedUrls, BegunUpload, Completion, NewUpload, PartUrls, UploadDocument, document

_COMPLETE_BYTES = 2 * 2**20  # ten thousand ETags
_BEGIN = taking(NewUpload, {"size": 104_857_600, "filename": "talk.mp4"})
_ASK = taking(AskedUrls, {"parts": [101, 102, 103]})
_COMPLETE = taking(Completion, {"parts": [{"number": 1, "etag": '"9b2cf535f27731c974343645a3985328"'}]}, required=False)
MISSING = refusals({404: "There is no such upload"})


def handlers(arrivals: Arrivals, parted: Parted) -> list[HTTPRouteHandler]:
    """Under `/api/v1/uploads`."""

    @post(
        "/",
        status_code=201,
        summary="Begin an upload in parts",
        operation_class=_BEGIN,
        responses={201: ResponseSpec(BegunUpload, description="Begun", generate_examples=False)}
        | REFUSALS
        | BODY
        | refusals({413: "The recording, or the body, is larger than the limit"}),
    )
    async def begin_upload(request: Request[Any, Any, Any]) -> Response[BegunUpload]:
        """Say how large the recording is, PUT its parts to the addresses in the answer, then complete it and submit a job with its `id`."""
        tenant = caller(request, "write").tenant
        asked = json_body.parse(await json_body.read(streamed(request)), NewUpload)
        begun = await parted.begin(tenant, asked)
        return Response(begun, status_code=201, headers={"Location": begun.links["self"]})

    @get("/{upload_id:uuid}", summary="Read an upload", responses=REFUSALS | MISSING)
    async def read_upload(request: Request[Any, Any, Any], upload_id: FromPath[UUID]) -> UploadDocument:
        """How far an upload is, whichever protocol brings it: what has arrived need not be sent again."""
        upload = await arrivals.find(JobId(upload_id), caller(request, "read").tenant)
        return document(upload, await parted.parts(upload))

    @post(
        "/{upload_id:uuid}/urls",
        status_code=200,
        summary="Ask for addresses of parts",
        operation_class=_ASK,
        responses=REFUSALS | MISSING | BODY | refusals({409: "The upload takes no more parts"}),
    )
    async def ask_urls(request: Request[Any, Any, Any], upload_id: FromPath[UUID]) -> PartUrls:
        """Addresses of up to 100 parts, for those that the first answer had no room for, and for those whose time was over."""
        tenant = caller(request, "write").tenant
        asked = json_body.parse(await json_body.read(streamed(request)), AskedUrls)
        return await parted.addresses(await arrivals.touched(JobId(upload_id), tenant), asked.parts)

    @post(
        "/{upload_id:uuid}/complete",
        status_code=200,
        summary="Complete an upload in parts",
        operation_class=_COMPLETE,
        responses=REFUSALS
        | MISSING
        | BODY
        | refusals(
            {
                409: "Parts are missing, or a job was made of the upload already",
                410: "The store has lost the upload",
                415: "Neither audio nor video",
                423: "Another request works on it",
            }
        ),
    )
    async def complete_upload(request: Request[Any, Any, Any], upload_id: FromPath[UUID]) -> UploadDocument:
        """Make one object of the parts and read it once: afterwards its SHA-256 is known, and a job can be made of it.

        May be asked again, also when the answer was lost. What is no recording, or has another SHA-256 than announced, is removed.
        """
        tenant = caller(request, "write").tenant
        asked = json_body.parse(await json_body.read(streamed(request), _COMPLETE_BYTES, optional=True), Completion)
        return document(await parted.complete(JobId(upload_id), tenant, asked), [])

    @delete(
        "/{upload_id:uuid}",
        status_code=204,
        summary="Remove an upload",
        responses=REFUSALS | MISSING | refusals({409: "A job was made of it"}),
    )
    async def remove_upload(request: Request[Any, Any, Any], upload_id: FromPath[UUID]) -> Response[None]:
        """Delete an upload of which no job was made, with all that arrived of it."""
        await arrivals.remove(JobId(upload_id), caller(request, "write").tenant)
        return Response(None, status_code=204)

    return [begin_upload, read_upload, ask_urls, complete_upload, remove_upload]
