"""A form on its way in, whatever its bytes: accepted or refused with a problem, the same however they are cut into chunks."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from multipart import parse_options_header

from services.ingest.compat.submitting import Upload
from services.ingest.form import Fields, Form, Native
from services.ingest.openai.asked import Asked
from services.ingest.openai.models import Models
from services.ingest.problems import Problem
from services.ingest.recording import Received, discard
from tests.fuzz.target import Target
from tests.recordings import wav

T = TypeVar("T")

_KINDS: tuple[Callable[[], Fields], ...] = (
    Native,
    lambda: Asked("transcribe", Models(("base",))),
    lambda: Upload(("file", "audio"), {"language": "language", "diarize": "diarize"}),
)

_SOUND = wav(bytes(64))
_PART = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
_FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\nContent-Type: audio/wav\r\n\r\n' + _SOUND + b"\r\n"
_TYPE = b"multipart/form-data; boundary=b\n"
_END = b"--b--\r\n"


def seeds() -> tuple[bytes, ...]:
    """The first byte says whose fields they are and how the body is cut; a line with the content type; the body."""
    texts = {
        b"language": b"de",
        b"metadata": b'{"call": "7"}',
        b"redact": b"phone, email",
        b"reference": b"One line.\nAnother.",
        b"temperature": b"0.5",
        b"webhook_url": b"https://example.com/hook",
        b"response_format": b"verbose_json",
        b"timestamp_granularities[]": b"word",
        b"chunking_strategy": b'{"type": "server_vad", "threshold": 0.5}',
        b"diarize": b"yes",
    }
    forms = [_FILE % b"a.wav" + _END, *(_PART % each + _FILE % b"b.wav" + _END for each in texts.items())]
    odd = [
        b"",
        _END,
        b"preamble\r\n" + _FILE % b"../../x" + _END + b"epilogue",
        _FILE % b"a" * 2 + _END,
        _FILE % b"a" + b"--b",
        b'--b\r\nContent-Disposition: form-data; name="file"\r\nContent-Transfer-Encoding: base64\r\n\r\nUklGRg==\r\n' + _END,
    ]
    return tuple(bytes([number]) + _TYPE + body for number, body in enumerate((*forms, *odd)))


def check(data: bytes) -> None:
    """Raises `AssertionError`, or whatever is not a refusal."""
    chooser, (head, _, body) = data[:1], data[1:].partition(b"\n")
    number = chooser[0] if chooser else 0
    kind, size = _KINDS[number % len(_KINDS)], 1 + number // len(_KINDS)
    boundary = str(parse_options_header(head.decode("latin-1"))[1].get("boundary", ""))
    whole = _received([body], boundary, kind)
    cut = _received([body[place : place + size] for place in range(0, len(body), size)], boundary, kind)
    if isinstance(whole, Received):
        assert cut == whole or _bare(cut), (cut, whole)
        assert len(whole.source.filename) <= 255
        assert whole.source.filename.isprintable()
    else:
        assert isinstance(cut, Problem)
        assert all(400 <= problem.status < 500 and problem.detail for problem in (whole, cut)), (whole, cut)


def _bare(refusal: Received | Problem) -> bool:
    """A line feed alone in a part's head, which no client sends: the parser notices it only where a chunk ends before the line does."""
    return isinstance(refusal, Problem) and refusal.detail.endswith("Invalid line break in segment header.")


def _received(chunks: Sequence[bytes], boundary: str, kind: Callable[[], Fields]) -> Received | Problem:
    try:
        return _run(Form(_Chunks(iter(chunks)), boundary, kind()).receive(discard))
    except Problem as problem:
        return problem


class _Chunks(AsyncIterator[bytes]):
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration


def _run(work: Awaitable[T]) -> T:
    """To its end, at once: nothing in it waits for anything, and a loop for each would be most of the time."""
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits")


MULTIPART = Target("multipart", check, seeds())
