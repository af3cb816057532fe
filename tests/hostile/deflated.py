"""Zlib streams of any length, made without compressing what they unpack to."""

import struct
import zlib

_PIECE = 2**20
_ADLER = 65_521


def deflated(head: bytes, byte: int, count: int) -> bytes:
    """What unpacks to `head` and then `count` times `byte`: some thousandth of that."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    begun = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(bytes([byte]) * _PIECE) + packer.flush(zlib.Z_FULL_FLUSH)
    rest = packer.compress(bytes([byte]) * (count % _PIECE)) + packer.flush()
    return b"\x78\xda" + begun + piece * (count // _PIECE) + rest + struct.pack(">I", _checksum(head, byte, count))


def _checksum(head: bytes, byte: int, count: int) -> int:
    """Adler-32, of so many equal bytes in one step."""
    high, low = divmod(zlib.adler32(head), 2**16)
    high += count * low + byte * count * (count + 1) // 2
    return high % _ADLER << 16 | (low + byte * count) % _ADLER
