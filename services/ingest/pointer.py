"""A submission as JSON: the options, and where the recording lies."""

from collections.abc import AsyncIterator
from uuid import UUID

import msgspec

from common.ids import JobId
from services.ingest import json_body
from services.ingest.arriving import Arrivals
from services.ingest.form import options_of
from services.ingest.link import Link
from services.ingest.problems import Problem
from services.ingest.remote import Remote
from services.ingest.uploaded import Uploaded

MEDIA_TYPE = json_body.MEDIA_TYPE
_BODY_BYTES = 2 * 2**20
"""A reference is as long as a book, and JSON may write a letter in twelve bytes."""


class _Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str | None = None
    upload_id: UUID | None = None

    def __post_init__(self) -> None:
        if (self.url is None) == (self.upload_id is None):
            raise ValueError("it says in one way where the recording lies")


class Pointers:
    """Turns JSON bodies into submissions."""

    def __init__(self, remote: Remote, arrivals: Arrivals, limit: int) -> None:
        self._remote = remote
        self._arrivals = arrivals
        self._limit = limit

    async def read(self, chunks: AsyncIterator[bytes], tenant: str) -> Link | Uploaded:
        """`{"source": {"url" | "upload_id": …}, …options}`. Raises `Problem`."""
        values = await json_body.read(chunks, _BODY_BYTES)
        try:
            source = msgspec.convert(values.pop("source", {}), _Source)
        except msgspec.ValidationError as error:
            raise Problem(
                422, "invalid_source", f"source: {error}; it is an object with the member 'url' or 'upload_id'.", field="source"
            ) from None
        options = options_of(values)
        if source.upload_id is not None:
            return Uploaded(JobId(source.upload_id), tenant, options, self._arrivals)
        assert source.url is not None
        return Link(source.url, options, self._remote, self._limit)
