"""How the OpenAPI document shows tus, whose requests are read from headers and sockets by hand."""

from dataclasses import dataclass
from typing import Any

from litestar.datastructures import ResponseHeader
from litestar.openapi.spec import OpenAPIMediaType, Operation, Parameter, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from services.ingest.refusals import refusals
from services.ingest.tus import headers

_TEXT = Schema(type=OpenAPIType.STRING)
_BYTES = Schema(type=OpenAPIType.INTEGER, minimum=0)


def _header(name: str, schema: Schema, description: str, example: Any, *, required: bool = False) -> Parameter:
    return Parameter(name=name, param_in="header", required=required, description=description, schema=schema, example=example)


_VERSION = _header("Tus-Resumable", Schema(type=OpenAPIType.STRING, const=headers.VERSION), "", headers.VERSION, required=True)
_CHECKSUM = _header("Upload-Checksum", _TEXT, "sha1 or sha256, and the digest of this body in base64", "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=")
_CONTENT = RequestBody(
    content={headers.CONTENT_TYPE: OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY))}, required=False
)


@dataclass
class Tus(Operation):
    """The handlers read headers and body themselves."""

    def __post_init__(self) -> None:
        self.parameters = [*(self.parameters or []), _VERSION]


@dataclass
class Create(Tus):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.request_body = _CONTENT
        self.parameters = [
            *(self.parameters or []),
            _header("Upload-Length", _BYTES, "Bytes of the whole recording", 104_857_600, required=True),
            _header("Upload-Metadata", _TEXT, "`filename`, `sha256` (in hex); others are yours", "filename dGFsay5tcDM="),
            _CHECKSUM,
        ]


@dataclass
class Append(Tus):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.request_body = _CONTENT
        self.parameters = [
            *(self.parameters or []),
            _header("Upload-Offset", _BYTES, "Where these bytes belong: as far as the upload has come", 0, required=True),
            _CHECKSUM,
        ]


# A value tells the type, and is not sent.
OFFSET = ResponseHeader(name="Upload-Offset", value="0", description="Bytes that are safe", documentation_only=True)
LENGTH = ResponseHeader(name="Upload-Length", value="0", description="Bytes of the whole", documentation_only=True)
EXPIRES = ResponseHeader(name="Upload-Expires", value="", description="When it is removed, if nothing more comes", documentation_only=True)

MISSING = refusals({404: "There is no such upload", 412: "Another version of tus"})
BODY_REFUSED = refusals(
    {
        400: "A header is missing or malformed, or the client went away",
        408: "No bytes came for ten seconds",
        410: "The store has lost the upload",
        412: "Another version of tus",
        413: "Larger than the limit, or than announced",
        415: "Another Content-Type, or neither audio nor video",
        422: "Nothing of what was announced: empty, or with another SHA-256",
        423: "Another request works on the upload",
        460: "The Upload-Checksum does not fit",
    }
)
