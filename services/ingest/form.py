"""A submission as multipart/form-data: read as it arrives, with constant memory and nothing spooled. The fields may come in any order."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from multipart import MultipartError, MultipartSegment, PushMultipartParser

from common.jobs.options import OptionError, Options, parse
from services.ingest import recording
from services.ingest.problems import Problem, invalid_option
from services.ingest.recording import OpenSink, Received

if TYPE_CHECKING:
    from common.jobs.job import Source

MEDIA_TYPE = "multipart/form-data"
_FIELD_BYTES = 64 * 2**10
_MAX_FIELDS = 64


class Form:
    """The recording in the field `file`, the options in fields of their own."""

    upload = None

    def __init__(self, chunks: AsyncIterator[bytes], boundary: str) -> None:
        if not boundary:
            raise _malformed("the Content-Type names no boundary")
        self._chunks = chunks
        self._boundary = boundary

    async def receive(self, into: OpenSink) -> Received:
        fields: dict[str, str] = {}
        source: Source | None = None
        async with aclosing(_parts(self._chunks, self._boundary)) as parts:
            async for segment, payload in parts:
                if segment.name == "file":
                    if source is not None:
                        raise Problem(422, "duplicate_file", "The form has two file fields; submit one recording a job.", field="file")
                    source = await recording.receive(segment.filename or "", payload, into)
                elif segment.name in fields:
                    raise Problem(422, "duplicate_field", f"The form has {segment.name!r} twice.", field=segment.name)
                else:
                    fields[segment.name] = await _text(segment.name, payload)
                    options_of({segment.name: fields[segment.name]})  # refuse early, before the recording has travelled
        if source is None:
            raise Problem(422, "file_missing", "The form has no field named 'file'; put the recording there.", field="file")
        options = options_of(fields)
        return Received(source, options, recording.fingerprint(options, source.sha256))

    async def identify(self) -> bytes:
        """Only all of the body tells what the recording is."""
        return (await self.receive(recording.discard)).fingerprint


def options_of(values: dict[str, Any]) -> Options:
    """The options, or the `Problem` that names the one that is wrong."""
    try:
        return parse(values)
    except OptionError as error:
        raise invalid_option(error) from None


async def _parts(chunks: AsyncIterator[bytes], boundary: str) -> AsyncGenerator[tuple[MultipartSegment, AsyncIterator[bytes]], None]:
    """Each part with its payload, which must be consumed before the next part."""
    async with aclosing(_events(chunks, boundary)) as events:
        async for event in events:
            assert isinstance(event, MultipartSegment)
            yield event, _payload(events)


async def _events(chunks: AsyncIterator[bytes], boundary: str) -> AsyncGenerator[MultipartSegment | bytes | None, None]:
    try:
        with PushMultipartParser(boundary, max_segment_count=_MAX_FIELDS, strict=True) as parser:
            async for chunk in chunks:
                for event in parser.parse(chunk):
                    yield event
    except MultipartError as error:
        raise _malformed(str(error)) from None


async def _payload(events: AsyncIterator[MultipartSegment | bytes | None]) -> AsyncIterator[bytes]:
    async for event in events:
        if event is None:
            return
        assert not isinstance(event, MultipartSegment)
        yield bytes(event)


async def _text(name: str, payload: AsyncIterator[bytes]) -> str:
    data = b""
    async for chunk in payload:
        data += chunk
        if len(data) > _FIELD_BYTES:
            raise Problem(
                422, "field_too_large", f"The field {name!r} is larger than {_FIELD_BYTES} bytes.", field=name, limit=_FIELD_BYTES
            )
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Problem(422, "invalid_option", f"The field {name!r} is not UTF-8 text.", field=name) from None


def _malformed(reason: str) -> Problem:
    return Problem(400, "malformed_multipart", f"The multipart body cannot be read: {reason}.")
