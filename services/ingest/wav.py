"""How long a WAV file plays, told by its header: the one common format that says so in its first bytes.

A header may lie, as those of recordings that were cut off do, so no more is believed than the bytes that came would hold.
"""

import struct

_SIZE = struct.Struct("<4sI")
_BYTE_RATE = struct.Struct("<8xI")  # in the fmt chunk: after format, channels and sample rate


def seconds(head: bytes, size: int) -> float | None:
    """Seconds in a WAV file of `size` bytes that begins with `head`; None when `head` does not tell."""
    if head[:4] not in {b"RIFF", b"RF64"} or head[8:12] != b"WAVE":
        return None
    place, rate = 12, 0
    while place + _SIZE.size <= len(head):
        name, length = _SIZE.unpack_from(head, place)
        place += _SIZE.size
        if name == b"data":
            return min(length, size - place) / rate if rate else None
        if name == b"fmt " and place + _BYTE_RATE.size <= len(head):
            [rate] = _BYTE_RATE.unpack_from(head, place)
        place += length + length % 2
    return None
