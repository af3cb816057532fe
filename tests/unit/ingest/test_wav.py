"""A WAV header's word on how long it plays is taken only as far as the bytes go."""

import io
import struct
import wave

import pytest

from services.ingest.wav import seconds


def recording(length: float = 2.0) -> bytes:
    """Silence in 16-bit mono at 8 kHz."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 8_000, 0, "NONE", ""))
        out.writeframes(bytes(int(length * 16_000)))
    return file.getvalue()


def test_a_whole_file() -> None:
    """Frames over the rate, from the first kilobyte alone."""
    data = recording(2.0)
    assert seconds(data[:1024], len(data)) == 2.0


def test_chunks_before_the_sound() -> None:
    """Chunks of any kind are passed over, padded when they are odd."""
    data = recording(2.0)
    note = struct.pack("<4sI", b"LIST", 5) + b"hello\0"
    assert seconds((data[:36] + note + data[36:])[:1024], len(data) + len(note)) == 2.0


@pytest.mark.parametrize("claimed", [0xFFFFFFFF, 2**31])
def test_a_recording_that_claims_more_than_came(claimed: int) -> None:
    """Recorders that write as they go leave a length that was never filled in, and RF64 keeps its own elsewhere."""
    data = bytearray(recording(2.0))
    struct.pack_into("<I", data, 40, claimed)
    assert seconds(bytes(data[:1024]), len(data)) == 2.0


@pytest.mark.parametrize("head", [b"", b"ID3\x04", recording()[:20], recording()[:12] + recording()[36:]])
def test_what_does_not_tell(head: bytes) -> None:
    """Other formats, headers cut off, and headers with no rate leave it to the estimate."""
    assert seconds(head, 10_000) is None
