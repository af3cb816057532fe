"""A recording on its way to wherever it is kept: recognised by its first bytes, then counted and hashed as it passes."""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import msgspec

from common.ids import JobId
from common.jobs.job import Source
from common.jobs.options import Options
from services.ingest import wav
from services.ingest.problems import Problem
from services.ingest.sniffing import HEAD_BYTES, Media, sniff

_MAX_NAME = 255


class Sink(Protocol):
    """Where the bytes go; `size` and `sha256` (hex) tell of what went there so far."""

    size: int

    @property
    def sha256(self) -> str: ...

    async def write(self, data: bytes | bytearray) -> None: ...


OpenSink = Callable[[str], AbstractAsyncContextManager[Sink]]
"""Opens a sink for a content type. What was written counts only when the block ends well."""


class Received(msgspec.Struct, frozen=True):
    """What came in, what is to be done with it, and what makes this request the same as another."""

    source: Source
    options: Options
    fingerprint: bytes


class Submission(Protocol):
    """One way for a recording to come in. Either method may be called, once.

    `upload` is the id of the upload that the recording has arrived by before, and None when it comes with the request.
    """

    @property
    def upload(self) -> JobId | None: ...

    async def receive(self, into: OpenSink) -> Received:
        """Raises `Problem` for whatever is wrong with it."""
        ...

    async def identify(self) -> bytes:
        """The fingerprint alone, with nothing stored."""
        ...


async def receive(filename: str, payload: AsyncIterator[bytes], into: OpenSink) -> Source:
    """Send `payload` to a sink. Raises `Problem` when it is empty or not a recording."""
    head = b""
    async for chunk in payload:
        head += chunk
        if len(head) >= HEAD_BYTES:
            break
    media = recognise(head)
    async with into(media.content_type) as sink:
        await sink.write(head)
        async for chunk in payload:
            await sink.write(chunk)
    return Source(
        filename=shortened(filename),
        content_type=media.content_type,
        size=sink.size,
        sha256=sink.sha256,
        kind=media.kind,
        duration=wav.seconds(head, sink.size),
    )


def recognise(head: bytes) -> Media:
    """What begins with `head`. Raises `Problem` when it is no recording."""
    if not head:
        raise Problem(422, "empty_file", "The file is empty.", field="file")
    media = sniff(head)
    if media is None:
        raise Problem(415, "unsupported_media_type", "The file's content is neither audio nor video, whatever its name says.", field="file")
    return media


def shortened(filename: str) -> str:
    """As much of a name as is kept: no control characters, which nobody can read and Postgres partly refuses."""
    return "".join(filter(str.isprintable, filename))[:_MAX_NAME]


def fingerprint(options: Options, recording: str) -> bytes:
    """Equal for equal options (whatever their order and spelling) and the same recording."""
    return hashlib.sha256(msgspec.json.encode(options, order="deterministic") + b"\n" + recording.encode()).digest()


@asynccontextmanager
async def discard(_content_type: str) -> AsyncIterator[Sink]:
    """A sink that keeps nothing."""
    yield _Discard()


class _Discard:
    def __init__(self) -> None:
        self.size = 0
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    async def write(self, data: bytes | bytearray) -> None:
        self.size += len(data)
        self._hash.update(data)
