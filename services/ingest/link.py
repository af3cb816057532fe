"""A submission as JSON: the options, and where the recording lies. It is fetched while it is stored, and its URL is kept nowhere."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import msgspec

from common.jobs.options import Options
from services.ingest import recording
from services.ingest.form import options_of
from services.ingest.problems import Problem, too_large
from services.ingest.recording import OpenSink, Received
from services.ingest.remote import Found, Remote

MEDIA_TYPE = "application/json"
_BODY_BYTES = 256 * 2**10


class _Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str


class Link:
    """`{"source": {"url": …}, …options}`, already read; the recording is yet to be fetched."""

    def __init__(self, url: str, options: Options, remote: Remote, limit: int) -> None:
        self._url = url
        self._options = options
        self._remote = remote
        self._limit = limit

    async def receive(self, into: OpenSink) -> Received:
        async with self._remote.fetch(self._url) as found, aclosing(self._limited(found)) as chunks:
            source = await recording.receive(found.filename, chunks, into)
        return Received(source, self._options, await self.identify())

    async def identify(self) -> bytes:
        """The URL stands for the recording: what lies there now may be gone when the request comes again."""
        return recording.fingerprint(self._options, self._url)

    async def _limited(self, found: Found) -> AsyncGenerator[bytes, None]:
        if (found.size or 0) > self._limit:
            raise too_large(self._limit)
        received = 0
        async with aclosing(found.chunks()) as chunks:
            async for chunk in chunks:
                received += len(chunk)
                if received > self._limit:
                    raise too_large(self._limit)
                yield chunk


async def read(chunks: AsyncIterator[bytes], remote: Remote, limit: int) -> Link:
    """The submission in a JSON body. Raises `Problem` when there is none."""
    body = b""
    async for chunk in chunks:
        body += chunk
        if len(body) > _BODY_BYTES:
            raise too_large(_BODY_BYTES)
    values = _decode(body)
    try:
        source = msgspec.convert(values.pop("source", {}), _Source)
    except msgspec.ValidationError as error:
        raise Problem(422, "invalid_source", f"source: {error}; it is an object with the member 'url'.", field="source") from None
    return Link(source.url, options_of(values), remote, limit)


def _decode(body: bytes) -> dict[str, Any]:
    try:
        values: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Problem(400, "malformed_json", f"The body is not a JSON object: {reason}.") from None
    return values
