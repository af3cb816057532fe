"""A submission as multipart/form-data: read as it arrives, with constant memory and nothing spooled. The fields may come in any order."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol

from multipart import MultipartError, MultipartSegment, PushMultipartParser

from common.jobs.options import OptionError, Options, convert, parse
from services.ingest import recording
from services.ingest.problems import Problem, invalid_option
from services.ingest.recording import OpenSink, Received

if TYPE_CHECKING:
    from common.jobs.job import Source

MEDIA_TYPE = "multipart/form-data"
_FIELD_BYTES = 64 * 2**10
_REFERENCE_BYTES = 2**20
_MAX_FIELDS = 64
_LINE_END = b"\r\n"


class Fields(Protocol):
    """What an API calls the fields of its form. One is made for each request, and may be asked afterwards for more than the options."""

    @property
    def files(self) -> Collection[str]:
        """Names of the field that holds the recording."""
        ...

    def file(self, name: str, filename: str) -> None:
        """The recording begins, in this field and with the client's name for it. Raises `Problem`."""
        ...

    def add(self, name: str, text: str) -> None:
        """A field as it comes, in whatever order. Raises `Problem` for what is wrong by itself, before the recording has travelled."""
        ...

    def options(self) -> Options:
        """When all have come. Raises `Problem`."""
        ...


class Native:
    """The recording in the field `file`, each option in a field of its own name."""

    files = ("file",)

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def file(self, name: str, filename: str) -> None:
        """Neither makes a difference."""

    def add(self, name: str, text: str) -> None:
        if name in self._texts:
            raise duplicate(name)
        check(name, text)
        self._texts[name] = text

    def options(self) -> Options:
        return options_of(self._texts)


class Form:
    """A form with the fields of one API."""

    upload = None

    def __init__(self, chunks: AsyncIterator[bytes], boundary: str, fields: Fields) -> None:
        if not boundary:
            raise _malformed("the Content-Type names no boundary")
        self._chunks = chunks
        self._boundary = boundary
        self._fields = fields

    async def receive(self, into: OpenSink) -> Received:
        source: Source | None = None
        files = self._fields.files
        async with aclosing(_parts(self._chunks, self._boundary)) as parts:
            async for segment, payload in parts:
                if segment.name in files:
                    if source is not None:
                        raise Problem(
                            422, "duplicate_file", "The form has two file fields; submit one recording a job.", field=segment.name
                        )
                    self._fields.file(segment.name, segment.filename or "")
                    source = await recording.receive(segment.filename or "", payload, into)
                else:
                    # As a file in a field of another name the recording would be a text that is too large, or none.
                    hint = "" if segment.filename is None else f"; the recording goes into the field {_named(files)}"
                    self._fields.add(segment.name, await _text(segment.name, payload, hint))
        if source is None:
            raise Problem(422, "file_missing", f"The form has no field {_named(files)}; put the recording there.", field=next(iter(files)))
        options = self._fields.options()
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


def check(name: str, value: Any) -> None:
    """An option by itself, refused before the recording has travelled. Raises `Problem`."""
    try:
        convert(name, value)
    except OptionError as error:
        raise invalid_option(error) from None


def duplicate(name: str) -> Problem:
    """422: a field that may come once."""
    return Problem(422, "duplicate_field", f"The form has {name!r} twice.", field=name)


async def _parts(chunks: AsyncIterator[bytes], boundary: str) -> AsyncGenerator[tuple[MultipartSegment, AsyncIterator[bytes]], None]:
    """Each part with its payload, which must be consumed before the next part."""
    async with aclosing(_events(chunks, boundary)) as events:
        async for event in events:
            assert isinstance(event, MultipartSegment)
            yield event, _payload(events)


async def _events(chunks: AsyncIterator[bytes], boundary: str) -> AsyncGenerator[MultipartSegment | bytes | None, None]:
    """Not strict: that would refuse what comes after the last boundary in a chunk of its own, and be it the two bytes that end its line."""
    try:
        with PushMultipartParser(boundary, max_segment_count=_MAX_FIELDS) as parser:
            async for chunk in _begun(chunks, b"--" + parser.boundary):
                for event in parser.parse(chunk):
                    yield event
    except MultipartError as error:
        raise _malformed(str(error.args[0] if error.args else error)) from None


async def _begun(chunks: AsyncIterator[bytes], boundary: bytes) -> AsyncGenerator[bytes, None]:
    """Something before the first boundary no client sends; what the parser makes of it depends on where the network cuts."""
    head = b""
    async for chunk in chunks:
        head += chunk
        if len(head) >= len(_LINE_END + boundary):
            break
    if not head.removeprefix(_LINE_END).startswith(boundary):
        raise _malformed("it does not begin with its boundary")
    yield head
    async for chunk in chunks:
        yield chunk


async def _payload(events: AsyncIterator[MultipartSegment | bytes | None]) -> AsyncIterator[bytes]:
    async for event in events:
        if event is None:
            return
        assert not isinstance(event, MultipartSegment)
        yield bytes(event)


def _named(files: Collection[str]) -> str:
    return f"named {' or '.join(repr(name) for name in files)}"


async def _text(name: str, payload: AsyncIterator[bytes], hint: str) -> str:
    data = bytearray()
    limit = _REFERENCE_BYTES if name == "reference" else _FIELD_BYTES
    async for chunk in payload:
        data += chunk
        if len(data) > limit:
            raise Problem(422, "field_too_large", f"The field {name!r} is larger than {limit} bytes{hint}.", field=name, limit=limit)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Problem(422, "invalid_option", f"The field {name!r} is not UTF-8 text{hint}.", field=name) from None


def _malformed(reason: str) -> Problem:
    return Problem(400, "malformed_multipart", f"The multipart body cannot be read: {reason}.")
