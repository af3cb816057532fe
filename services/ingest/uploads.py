"""`/api/v1/uploads`: thin, over `parted` and `arriving`."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType

from common.ids import JobId
from services.ingest import json_body
from services.ingest.arriving import Arrivals
from services.ingest.auth import caller
from services.ingest.body import streamed
from services.ingest.parted import Parted
from services.ingest.refusals import REFUSALS, refusals
from services.ingest.upload_documents import MOST_URLS, AskedUrls, BegunUpload, Completion, NewUpload, PartUrls, UploadDocument, document

_COMPLETE_BYTES = 2 * 2**20  # ten thousand ETags


@dataclass
class _JsonOperation(Operation):
    """The handler reads the body itself, so that what is wrong in it is named; this says what may be there."""

    _schema = Schema()
    _required = True

    def __post_init__(self) -> None:
        content = {json_body.MEDIA_TYPE: OpenAPIMediaType(schema=self._schema)}
        self.request_body = RequestBody(content=content, required=self._required)


_TEXT = Schema(type=OpenAPIType.STRING)
_HASH = Schema(
    type=[OpenAPIType.STRING, OpenAPIType.NULL], pattern="^[0-9a-fA-F]{64}$", description="Of the whole recording; another one is refused"
)


class _Begin(_JsonOperation):
    _schema = Schema(
        type=OpenAPIType.OBJECT,
        required=["size"],
        properties={
            "size": Schema(type=OpenAPIType.INTEGER, minimum=1, description="Bytes of the whole recording"),
            "filename": Schema(type=OpenAPIType.STRING, description="A label, shown with the job"),
            "sha256": _HASH,
        },
        additional_properties=False,
        examples=[{"size": 104_857_600, "filename": "talk.mp4"}],
    )


class _Ask(_JsonOperation):
    _schema = Schema(
        type=OpenAPIType.OBJECT,
        required=["parts"],
        properties={
            "parts": Schema(type=OpenAPIType.ARRAY, items=Schema(type=OpenAPIType.INTEGER, minimum=1), min_items=1, max_items=MOST_URLS),
        },
        additional_properties=False,
        examples=[{"parts": [101, 102, 103]}],
    )


class _Complete(_JsonOperation):
    _required = False
    _schema = Schema(
        type=OpenAPIType.OBJECT,
        properties={
            "parts": Schema(
                type=OpenAPIType.ARRAY,
                items=Schema(
                    type=OpenAPIType.OBJECT,
                    required=["number", "etag"],
                    properties={"number": Schema(type=OpenAPIType.INTEGER, minimum=1), "etag": _TEXT},
                    additional_properties=False,
                ),
                description="What the store answered; each is compared. Left out, the sizes alone are",
            ),
            "sha256": _HASH,
        },
        additional_properties=False,
        examples=[{"parts": [{"number": 1, "etag": '"9b2cf535f27731c974343645a3985328"'}]}],
    )


MISSING = refusals({404: "There is no such upload"})
_BAD_BODY = refusals({400: "The body is not readable", 422: "A member is missing or invalid"})


def handlers(arrivals: Arrivals, parted: Parted) -> list[HTTPRouteHandler]:
    """Under `/api/v1/uploads`."""

    @post(
        "/",
        status_code=201,
        summary="Begin an upload in parts",
        operation_class=_Begin,
        responses={201: ResponseSpec(BegunUpload, description="Begun", generate_examples=False)}
        | REFUSALS
        | _BAD_BODY
        | refusals({413: "Larger than the limit"}),
    )
    async def begin_upload(request: Request[Any, Any, Any]) -> Response[BegunUpload]:
        """Say how large the recording is, PUT its parts to the addresses in the answer, then complete it and submit a job with its `id`."""
        tenant = caller(request, "write").tenant
        asked = json_body.parse(await json_body.read(streamed(request)), NewUpload)
        begun = await parted.begin(tenant, asked)
        return Response(begun, status_code=201, headers={"Location": begun.links["self"]})

    @get("/{upload_id:uuid}", summary="Read an upload", responses=REFUSALS | MISSING)
    async def read_upload(request: Request[Any, Any, Any], upload_id: UUID) -> UploadDocument:
        """How far an upload is, whichever protocol brings it: what has arrived need not be sent again."""
        upload = await arrivals.find(JobId(upload_id), caller(request, "read").tenant)
        return document(upload, await parted.parts(upload))

    @post(
        "/{upload_id:uuid}/urls",
        status_code=200,
        summary="Ask for addresses of parts",
        operation_class=_Ask,
        responses=REFUSALS | MISSING | _BAD_BODY | refusals({409: "The upload takes no more parts"}),
    )
    async def ask_urls(request: Request[Any, Any, Any], upload_id: UUID) -> PartUrls:
        """Addresses of up to 100 parts, for those that the first answer had no room for, and for those whose time was over."""
        tenant = caller(request, "write").tenant
        asked = json_body.parse(await json_body.read(streamed(request)), AskedUrls)
        return await parted.addresses(await arrivals.touched(JobId(upload_id), tenant), asked.parts)

    @post(
        "/{upload_id:uuid}/complete",
        status_code=200,
        summary="Complete an upload in parts",
        operation_class=_Complete,
        responses=REFUSALS
        | MISSING
        | _BAD_BODY
        | refusals(
            {
                409: "Parts are missing, or a job was made of the upload already",
                410: "The store has lost the upload",
                413: "The body is larger than the limit",
                415: "Neither audio nor video",
                423: "Another request works on it",
            }
        ),
    )
    async def complete_upload(request: Request[Any, Any, Any], upload_id: UUID) -> UploadDocument:
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
    async def remove_upload(request: Request[Any, Any, Any], upload_id: UUID) -> Response[None]:
        """Delete an upload of which no job was made, with all that arrived of it."""
        await arrivals.remove(JobId(upload_id), caller(request, "write").tenant)
        return Response(None, status_code=204)

    return [begin_upload, read_upload, ask_urls, complete_upload, remove_upload]
