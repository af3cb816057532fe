"""FLAC written byte by byte: silence that takes no room."""

import struct
from collections.abc import Sequence

_LAST, _PICTURE = 0x8000_0000, 6 << 24


def flac(seconds: float, rate: int, block: int = 65_535, picture: bytes = b"") -> bytes:
    """Silence, 15 bytes for a block of any length; behind a PNG, if there is one."""
    total = int(seconds * rate)
    information = struct.pack(">HH6xQ16x", block, block, rate << 44 | 15 << 36 | total & 0xF_FFFF_FFFF)
    frames = (_frame(number, rate, block) for number in range(-(-total // block)))
    head = struct.pack(">I", (0 if picture else _LAST) | len(information)) + information + (_cover(picture) if picture else b"")
    return b"fLaC" + head + b"".join(frames)


def _cover(picture: bytes) -> bytes:
    kind = b"image/png"
    block = struct.pack(">II", 3, len(kind)) + kind + struct.pack(">IIIIII", 0, 0, 0, 0, 0, len(picture)) + picture
    return struct.pack(">I", _LAST | _PICTURE | len(block)) + block


def _frame(number: int, rate: int, block: int) -> bytes:
    head = struct.pack(">HBB", 0xFFF8, 0x7D, 0x08) + _utf8(number) + struct.pack(">HH", block - 1, rate)
    head += bytes([_crc(head, _CRC8, 8)])
    frame = head + bytes(3)
    return frame + struct.pack(">H", _crc(frame, _CRC16, 16))


def _utf8(number: int) -> bytes:
    """As FLAC numbers its frames: UTF-8's pattern, surrogates and all."""
    return chr(number).encode("utf-8", "surrogatepass")


def _table(polynomial: int, bits: int) -> Sequence[int]:
    found = []
    for byte in range(256):
        value = byte << (bits - 8)
        for _ in range(8):
            value = (value << 1) ^ (polynomial if value >> (bits - 1) else 0)
            value &= (1 << bits) - 1
        found.append(value)
    return found


_CRC8, _CRC16 = _table(0x07, 8), _table(0x8005, 16)


def _crc(data: bytes, table: Sequence[int], bits: int) -> int:
    value = 0
    for byte in data:
        value = (value << 8 ^ table[value >> (bits - 8) ^ byte]) & ((1 << bits) - 1)
    return value
