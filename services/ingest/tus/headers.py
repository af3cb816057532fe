"""What tus says in headers, read and written. Nothing here asks anybody."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime

from common.jobs.options import NAMES
from services.ingest.problems import Problem

VERSION = "1.0.0"
EXTENSIONS = ("creation", "creation-with-upload", "termination", "checksum", "expiration")
ALGORITHMS = ("sha1", "sha256")
CONTENT_TYPE = "application/offset+octet-stream"
_METADATA_BYTES = 4 * 2**10


class Checksum:
    """What the bytes of one request must come to."""

    def __init__(self, algorithm: str, expected: bytes) -> None:
        self._hash = hashlib.new(algorithm, usedforsecurity=False)
        self._expected = expected

    def update(self, data: bytes) -> None:
        self._hash.update(data)

    def verify(self) -> None:
        """Raises `Problem` 460."""
        if self._hash.digest() != self._expected:
            raise Problem(460, "checksum_mismatch", "The bytes have not the Upload-Checksum; none of them was kept, send them again.")


def check_version(headers: Mapping[str, str]) -> None:
    """Raises `Problem` 412."""
    if headers.get("tus-resumable") != VERSION:
        raise Problem(
            412, "unsupported_version", f"Send 'Tus-Resumable: {VERSION}'.", headers={"Tus-Version": VERSION}, field="Tus-Resumable"
        )


def number(headers: Mapping[str, str], name: str) -> int:
    """A header that is a number of bytes."""
    text = headers.get(name.lower(), "")
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise _invalid(name, "it is required, as a number of bytes")
    return int(text)


def checksum(headers: Mapping[str, str]) -> Checksum | None:
    """`Upload-Checksum`, if there is one."""
    text = headers.get("upload-checksum")
    if text is None:
        return None
    algorithm, _, digest = text.partition(" ")
    if algorithm not in ALGORITHMS:
        raise _invalid("Upload-Checksum", f"the algorithm is not one of {', '.join(ALGORITHMS)}")
    return Checksum(algorithm, _decoded("Upload-Checksum", digest))


def metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """`Upload-Metadata`: names with values, which the client may choose, but for names of job options, which belong elsewhere."""
    text = headers.get("upload-metadata", "")
    if len(text) > _METADATA_BYTES:
        raise _invalid("Upload-Metadata", f"it is longer than {_METADATA_BYTES} bytes")
    found: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = pair.partition(" ")
        if name in found:
            raise _invalid("Upload-Metadata", f"{name!r} is there twice")
        if name in NAMES:
            raise Problem(
                422,
                "invalid_option",
                f"{name}: options are not given with the upload but with the job; POST /api/v1/jobs with source.upload_id and them.",
                field=name,
            )
        found[name] = _decoded("Upload-Metadata", value).decode(errors="replace")
    return found


def expires(moment: datetime) -> str:
    """As HTTP writes dates."""
    return format_datetime(moment, usegmt=True)


def _decoded(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _invalid(name, "a value is not base64") from None


def _invalid(name: str, reason: str) -> Problem:
    return Problem(400, "invalid_header", f"{name}: {reason}.", field=name)
