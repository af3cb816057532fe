"""What else of a request is read by hand: tus's headers, keys, cursors and the first bytes of a recording."""

from contextlib import suppress
from typing import Any

from common.jobs.listing import Place
from services.ingest import idempotency, origin, recording, wav
from services.ingest.problems import Problem
from services.ingest.tus import headers
from tests.fuzz.target import Target
from tests.recordings import wav as sound


def check_header(data: bytes) -> None:
    """Read, or refused with a problem."""
    text = data.decode("latin-1")
    found = {"upload-metadata": text, "upload-checksum": text, "upload-offset": text, "tus-resumable": text}
    for read in (
        lambda: headers.metadata(found),
        lambda: headers.checksum(found),
        lambda: headers.number(found, "Upload-Offset"),
        lambda: headers.check_version(found),
        lambda: idempotency.valid(text),
        lambda: origin.check(_opening(data), ()),
        lambda: origin.check_host({"headers": [(b"host", data)]}, ()),  # type: ignore[arg-type]  # all that is looked at
    ):
        try:
            read()
        except Problem as problem:
            assert 400 <= problem.status < 500  # noqa: PT017 - no pytest here
    with suppress(ValueError):
        Place.decode(text)


def _opening(page: bytes) -> Any:
    return {"headers": [(b"host", b"localhost"), (b"origin", page)]}


def check_head(data: bytes) -> None:
    """A recording by its first bytes: known or refused, and never longer than its bytes would be at the least rate."""
    try:
        recording.recognise(data)
    except Problem as problem:
        assert problem.status in {415, 422}  # noqa: PT017
    seconds = wav.seconds(data, len(data))
    assert seconds is None or 0 <= seconds <= len(data)


HEADER = Target(
    "header",
    check_header,
    (
        b"filename dGFsay53YXY=,filetype YXVkaW8vd2F2",
        b"sha1 Lve95gjOVATpfV8EL5X4nxwjKHE=",
        b"0",
        b"1.0.0",
        b"http://localhost",
        b"http://[",
        b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ),
)
HEAD = Target("head", check_head, (sound(bytes(64)), b"ID3\4\0\0\0\0\0\0", b"\xff\xfb\x90\0", b"OggS", b"\0\0\0\x18ftypM4A "))
