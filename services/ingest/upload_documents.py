"""What clients say about uploads, and what they are shown of them."""

from datetime import datetime
from typing import Annotated

import msgspec

from common.jobs.job import Source
from common.multipart import Part
from common.resumable import Protocol, Upload, UploadStatus

MOST_URLS = 100
"""Addresses in one answer."""

_Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{64}$", description="Of the whole recording, in hex; another one is refused")]


class NewUpload(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be uploaded."""

    size: Annotated[int, msgspec.Meta(ge=0, description="Bytes of the whole recording")]
    filename: Annotated[str, msgspec.Meta(description="A label, shown with the job")] = ""
    sha256: _Sha256 | None = None


class AskedUrls(msgspec.Struct, frozen=True):
    """For which parts addresses are wanted."""

    parts: Annotated[list[Annotated[int, msgspec.Meta(ge=1)]], msgspec.Meta(min_length=1, max_length=MOST_URLS)]


class PutPart(msgspec.Struct, frozen=True):
    """What the store answered to a part."""

    number: int
    etag: str


class Completion(msgspec.Struct, frozen=True):
    """What the client knows of its parts and of the whole."""

    parts: Annotated[list[PutPart], msgspec.Meta(description="Each is compared; left out, the sizes alone are")] | None = None
    sha256: _Sha256 | None = None


class PartUrl(msgspec.Struct, frozen=True):
    """Where to PUT a part, of exactly `size` bytes."""

    number: int
    size: int
    url: str


class PartUrls(msgspec.Struct, frozen=True):
    """They stop working at `urls_expire_at`; ask for others then."""

    urls: list[PartUrl]
    urls_expire_at: datetime


class PartDocument(msgspec.Struct, frozen=True):
    """A part that the store has."""

    number: int
    size: int
    etag: str


class UploadDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An upload; `received` in bytes. `parts` are those that the store has of an upload in parts, `source` is known once it is ready."""

    id: str
    status: UploadStatus
    protocol: Protocol
    filename: str
    size: int
    received: int
    part_size: int
    parts: list[PartDocument]
    source: Source | None
    job_id: str | None
    created_at: datetime
    expires_at: datetime
    links: dict[str, str]


class BegunUpload(UploadDocument, frozen=True, kw_only=True):
    """A new upload, with the addresses of its first parts."""

    urls: list[PartUrl]
    urls_expire_at: datetime


def document(upload: Upload, parts: list[Part]) -> UploadDocument:
    """What is shown; `parts` are those that the store has."""
    own = f"/api/v1/uploads/{upload.id}"
    return UploadDocument(
        id=str(upload.id),
        status=upload.status,
        protocol=upload.protocol,
        filename=upload.filename,
        size=upload.size,
        received=sum(part.size for part in parts) or upload.received,
        part_size=upload.part_size,
        parts=[PartDocument(part.number, part.size, part.etag) for part in parts],
        source=upload.source,
        job_id=str(upload.id) if upload.status is UploadStatus.SUBMITTED else None,
        created_at=upload.created_at,
        expires_at=upload.expires_at,
        links={"self": own, "complete": f"{own}/complete", "urls": f"{own}/urls"} if upload.protocol == "parts" else {"self": own},
    )
