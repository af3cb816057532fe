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


def described(kind: int, channels: int, samples: int, rate: int, bits: int) -> bytes:
    """A header, and how much of it a decoder believes is its own affair."""
    data = bytearray(recording())
    struct.pack_into("<HHIIHH", data, 20, kind, channels, samples, rate, channels * bits // 8, bits)
    return bytes(data[:44])


@pytest.mark.parametrize("claimed", [1, 2**31, 0xFFFFFFFF])
def test_a_rate_that_is_a_lie(claimed: int) -> None:
    """Of samples the bytes a second follow from what a decoder goes by; of a codec nothing is believed that none has."""
    assert seconds(described(1, 1, 8_000, claimed, 16), 32_044) == 2.0
    assert seconds(described(0x11, 1, 8_000, claimed, 4), 32_044) is None
    assert seconds(described(1, 1, claimed, 16_000, 16), 32_044) is None


@pytest.mark.parametrize(
    ("kind", "channels", "samples", "rate", "bits"),
    [(7, 1, 8_000, 8_000, 8), (3, 8, 192_000, 6_144_000, 32), (0xFFFE, 2, 48_000, 288_000, 24), (0x31, 1, 8_000, 1_625, 0)],
    ids=["µ-law", "floats", "extensible", "GSM"],
)
def test_what_people_record(kind: int, channels: int, samples: int, rate: int, bits: int) -> None:
    """From telephones to studios."""
    data = bytearray(described(kind, channels, samples, rate, bits))
    struct.pack_into("<I", data, 40, 0xFFFFFFFF)
    assert seconds(bytes(data), 44 + 3 * rate) == 3.0


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
