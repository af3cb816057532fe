"""WAV, MP4, MP3 tags and pictures written byte by byte, as no muxer would write them."""

import struct
import zlib

from tests.hostile.deflated import deflated

_CONTENT = 24
"""Where an MP4's begins, after two boxes' heads."""


def riff(*chunks: bytes, form: bytes = b"WAVE") -> bytes:
    """A RIFF file of chunks."""
    return chunk(b"RIFF", form + b"".join(chunks))


def chunk(name: bytes, data: bytes, claimed: int | None = None) -> bytes:
    """A chunk, perhaps with another length than it has."""
    return name + struct.pack("<I", len(data) if claimed is None else claimed) + data


def pcm_format(*, rate: int, channels: int = 1, bits: int = 16) -> bytes:
    """A WAV file's `fmt ` chunk; what does not fit is cut off, as a header must."""
    align = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", 1, channels, rate, rate * align & 0xFFFF_FFFF, align & 0xFFFF, bits))


def box(name: bytes, *content: bytes) -> bytes:
    """One of an MP4's boxes."""
    data = b"".join(content)
    return struct.pack(">I", 8 + len(data)) + name + data


def table(name: bytes, *numbers: int) -> bytes:
    """A box of 32-bit numbers after a version and flags of zero."""
    return box(name, struct.pack(f">{1 + len(numbers)}I", 0, *numbers))


def mp4(*tracks: bytes, content: bytes = bytes(64)) -> bytes:
    """A file of tracks."""
    return box(b"ftyp", b"M4A \0\0\2\0") + box(b"mdat", content) + box(b"moov", _movie(), *tracks)


def track(*, samples: int, each: int, rate: int = 16_000, lasting: int = 1_024) -> bytes:
    """A track that claims so many samples of `each` bytes, all in one piece, in a few bytes of tables."""
    entry = box(b"sowt", bytes(6), struct.pack(">H8xHHHHI", 1, 1, 16, 0, 0, rate << 16 & 0xFFFF_FFFF))
    tables = box(
        b"stbl",
        box(b"stsd", struct.pack(">II", 0, 1), entry),
        table(b"stts", 1, samples, lasting),
        table(b"stsc", 1, 1, samples, 1),
        table(b"stsz", each, samples),
        table(b"stco", 1, _CONTENT),
    )
    header = table(b"tkhd", 0, 0, 1, 0, min(samples, 0xFFFF_FFFF), *[0] * 15)
    media = table(b"mdhd", 0, 0, rate, min(samples * lasting, 0xFFFF_FFFF), 0)
    handler = box(b"hdlr", bytes(8), b"soun", bytes(13))
    information = box(b"minf", box(b"smhd", bytes(8)), tables)
    return box(b"trak", header, box(b"mdia", media, handler, information))


def _movie() -> bytes:
    return table(b"mvhd", 0, 0, 1_000, 1_000, *[0] * 20)


def id3(*frames: bytes, claimed: int | None = None) -> bytes:
    """A tag of version 2.4, perhaps with another length than it has."""
    data = b"".join(frames)
    return b"ID3\4\0\0" + synchsafe(len(data) if claimed is None else claimed) + data


def packed_text(description: str, size: int) -> bytes:
    """A frame of `size` letters, compressed."""
    head = b"\0" + description.encode() + b"\0"
    data = synchsafe(len(head) + size) + deflated(head, ord("a"), size)
    return b"TXXX" + synchsafe(len(data)) + b"\0\x09" + data


def picture(image: bytes) -> bytes:
    """A frame with the cover of a record."""
    data = b"\0image/png\0\3\0" + image
    return b"APIC" + synchsafe(len(data)) + b"\0\0" + data


def synchsafe(number: int) -> bytes:
    """Seven bits a byte."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def png(side: int) -> bytes:
    """A black square, eight bytes a pixel once it is unpacked."""
    data = deflated(b"", 0, side * (1 + 8 * side))
    head = struct.pack(">IIBBBBB", side, side, 16, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _png_chunk(name, content) for name, content in ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    )


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
