"""ID3 tags before a recording, passed over unread: nothing in them is wanted, and reading them costs what their author likes.

ffmpeg unpacks compressed texts into memory, looks through all for each new one, and does not see the recording behind a large picture.
"""

import os
from typing import BinaryIO, NamedTuple

_HEAD = 10
_FOOTER = 0x10


class Place(NamedTuple):
    """`file` from byte `start` on: what PyAV asks of a file."""

    file: BinaryIO
    start: int

    def read(self, size: int) -> bytes:
        return self.file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self.file.seek(offset + (self.start if whence == os.SEEK_SET else 0), whence) - self.start

    def tell(self) -> int:
        return self.file.tell() - self.start


def untagged(file: BinaryIO) -> Place:
    """What follows the tags that `file` begins with; a tag that would reach beyond the file's end is none."""
    start, size = 0, file.seek(0, os.SEEK_END)
    while start + (length := _length(file, start)) < size and length:
        start += length
    file.seek(start)
    return Place(file, start)


def _length(file: BinaryIO, start: int) -> int:
    """Of the tag at `start`, with its head; 0 when there is none."""
    file.seek(start)
    head = file.read(_HEAD)
    if len(head) < _HEAD or head[:3] != b"ID3" or max(head[6:]) > 0x7F:
        return 0
    size = sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
    return _HEAD + size + (_HEAD if head[5] & _FOOTER else 0)
