"""How long a WAV file plays, told by its header: the one common format that says so in its first bytes.

A header may lie, as those of recordings that were cut off do, so no more is believed than the bytes that came would hold. Of what is not
compressed the bytes a second follow from what a decoder goes by; of what is, they are believed as far as such formats go.
"""

import struct

_SIZE = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")  # format, channels, sample rate, byte rate, bytes and bits of a sample
_UNCOMPRESSED = {0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE}  # integers, floats, A-law, µ-law, and what says so further on
_LEAST_RATE = 500  # speech codecs of telephones begin at 660
_MOST_RATE = 10_000_000  # eight channels of floats at 192 kHz are 6,144,000
_MOST_COMPRESSED_RATE = 250_000  # DTS has 192,000


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
        if name == b"fmt " and place + _FORMAT.size <= len(head):
            rate = _rate(*_FORMAT.unpack_from(head, place))
        place += length + length % 2
    return None


def _rate(kind: int, channels: int, samples: int, claimed: int, _sample: int, bits: int) -> int:
    """Bytes a second; 0 when nobody records so."""
    rate, most = (channels * -(-bits // 8) * samples, _MOST_RATE) if kind in _UNCOMPRESSED else (claimed, _MOST_COMPRESSED_RATE)
    return rate if _LEAST_RATE <= rate <= most else 0
