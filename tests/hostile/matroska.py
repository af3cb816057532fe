"""Matroska written byte by byte."""

import struct
from collections.abc import Iterable

EBML, DOC_TYPE, SEGMENT, INFO, DURATION = 0x1A45DFA3, 0x4282, 0x18538067, 0x1549A966, 0x4489
TRACKS, TRACK, NUMBER, UID, KIND, CODEC, PRIVATE = 0x1654AE6B, 0xAE, 0xD7, 0x73C5, 0x83, 0x86, 0x63A2
AUDIO, RATE, CHANNELS, BITS = 0xE1, 0xB5, 0x9F, 0x6264
ENCODINGS, ENCODING, COMPRESSION, ALGORITHM, STRIPPED = 0x6D80, 0x6240, 0x5034, 0x4254, 0x4255
CLUSTER, TIME, BLOCK = 0x1F43B675, 0xE7, 0xA3
ZLIB, STRIP = 0, 3


def element(identifier: int, data: bytes | int | float) -> bytes:  # noqa: PYI041 - they are written differently
    """One of EBML's, with its length in eight bytes."""
    name = identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")
    match data:
        case int():
            content = data.to_bytes(8, "big")
        case float():
            content = struct.pack(">d", data)
        case bytes():
            content = data
    return name + struct.pack(">Q", 1 << 56 | len(content)) + content


def matroska(tracks: Iterable[bytes], *clusters: bytes, duration: float = 1_000.0) -> bytes:
    """A file of tracks and clusters."""
    content = element(INFO, element(DURATION, duration)) + element(TRACKS, b"".join(tracks)) + b"".join(clusters)
    return element(EBML, element(DOC_TYPE, b"matroska")) + element(SEGMENT, content)


def sound_track(number: int, codec: bytes, *more: bytes, rate: float, bits: int = 16) -> bytes:
    """The entry of a track with one channel."""
    sound = element(AUDIO, element(RATE, rate) + element(CHANNELS, 1) + element(BITS, bits))
    return element(TRACK, b"".join((element(NUMBER, number), element(UID, number), element(KIND, 2), element(CODEC, codec), sound, *more)))


def compressed(algorithm: int, stripped: bytes = b"") -> bytes:
    """What a track entry says of how its frames are packed."""
    settings = element(STRIPPED, stripped) if stripped else b""
    return element(ENCODINGS, element(ENCODING, element(COMPRESSION, element(ALGORITHM, algorithm) + settings)))


def cluster(time: int, *frames: bytes, laced: int = 0) -> bytes:
    """Simple blocks of track 1, each frame in one, or each holding `laced` frames of the same size."""
    head = struct.pack(">BhB", 0x81, 0, 0x84 if laced else 0x80) + (bytes([laced - 1]) if laced else b"")
    return element(CLUSTER, element(TIME, time) + b"".join(element(BLOCK, head + frame) for frame in frames))
