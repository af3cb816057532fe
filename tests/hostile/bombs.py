"""Small files that are large once somebody believes them."""

import struct
import sys

from tests.hostile import matroska
from tests.hostile.containers import box, chunk, id3, mp4, packed_text, pcm_format, picture, png, riff, synchsafe, track
from tests.hostile.deflated import deflated
from tests.hostile.flac import flac
from tests.hostile.item import HEARD, Item
from tests.hostile.matroska import cluster, compressed, sound_track

NO_MEMORY = "memory_limit" if sys.platform == "linux" else "unsupported_media"
"""What comes of `packed_index`: elsewhere nothing bounds memory, and there is no sound in it."""

_MB = 2**20
_REFUSED = ("unsupported_media", "memory_limit", "empty_audio")
"""What a library makes of memory that it does not get: some say so, others come to nothing."""

_OPUS = b"OpusHead\1\1\0\0\x80\xbb\0\0\0\0\0"
_LACED = 255
_PACKET_SECONDS = 0.12


def items() -> list[Item]:
    return [
        Item("an index of 80 million samples in an mp4 of 600 bytes", lambda: mp4(track(samples=80_000_000, each=1)), _REFUSED),
        Item("eight such indexes", lambda: mp4(*[track(samples=80_000_000, each=1)] * 8), _REFUSED),
        Item("an mp4's index that unpacks to 2 GB", packed_index, (NO_MEMORY,)),
        Item(
            "id3 texts that unpack to 4 GB",
            lambda: id3(*(packed_text(f"{n}", 100 * _MB) for n in range(40))) + flac(1, 8_000),
            (HEARD,),
        ),
        Item("id3 of 256 MB that is not there", lambda: id3(claimed=2**28 - 1) + flac(1, 8_000), (HEARD, *_REFUSED)),
        Item("id3 of 1,000 texts", lambda: id3(*map(text, range(1_000))) + flac(1, 8_000), (HEARD,)),
        Item("id3 of 500,000 texts", lambda: id3(*map(text, range(500_000))) + flac(1, 8_000), (HEARD,), heavy=True),
        Item("id3 with a picture that unpacks to 2 GB", lambda: id3(picture(png(16_000))) + flac(1, 8_000), (HEARD,)),
        Item("flac with a picture that unpacks to 2 GB", lambda: flac(1, 8_000, picture=png(16_000)), (HEARD,)),
        Item("aiff with id3 texts that unpack to 4 GB", tagged_aiff, (HEARD, *_REFUSED, "time_limit")),
        Item("matroska frames that unpack to 60 MB", lambda: packed_frames(6), (HEARD, *_REFUSED)),
        Item("six minutes of silence as 1 kB of opus", lambda: opus(360), (HEARD,)),
        Item("20 minutes of silence as 3 kB of flac", lambda: flac(1_200, 8_000), (HEARD,)),
        Item("12 h of silence as 60 kB of opus", lambda: opus(12 * 3_600), (HEARD,), heavy=True),
        Item("12 h of silence as 80 kB of flac", lambda: flac(12 * 3_600, 8_000), (HEARD,), heavy=True),
        Item("30 h of silence as 200 kB of flac", lambda: flac(30 * 3_600, 8_000), ("recording_too_long",), heavy=True),
        Item("a year of silence as 1 MB of flac", lambda: flac(365 * 86_400, 1_000, 65_535), ("recording_too_long",), heavy=True),
        Item("matroska frames that unpack to 4 GB", lambda: packed_frames(400), (HEARD, "time_limit"), heavy=True),
        Item("a sample a second", lambda: riff(pcm_format(rate=1, bits=8), chunk(b"data", bytes(86_400))), ("unsupported_media",)),
        Item("a sample a second in one flac frame", lambda: flac(65_535, 1), ("unsupported_media",)),
        Item("two thousand million samples a second", lambda: riff(pcm_format(rate=2**31 - 1), chunk(b"data", bytes(8_000))), _REFUSED),
        Item("ten million samples a second", lambda: riff(pcm_format(rate=10_000_000), chunk(b"data", bytes(80_000))), _REFUSED),
    ]


def packed_index() -> bytes:
    """QuickTime's compressed `moov`."""
    size = 2_000 * _MB
    packed = size.to_bytes(4, "big") + deflated(b"", 0, size)
    return box(b"ftyp", b"qt  \0\0\2\0") + box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), box(b"cmvd", packed)))


def tagged_aiff() -> bytes:
    """A tag as a chunk of its own."""
    tag = id3(*(packed_text(f"{n}", 100 * _MB) for n in range(40)))
    sound = struct.pack(">HIH10s", 1, 800, 16, bytes.fromhex("400bfa00000000000000"))
    chunks = [(b"ID3 ", tag + b"\0" * (len(tag) % 2)), (b"COMM", sound), (b"SSND", bytes(8 + 1_600))]
    content = b"AIFF" + b"".join(name + struct.pack(">I", len(data)) + data for name, data in chunks)
    return b"FORM" + struct.pack(">I", len(content)) + content


def text(number: int) -> bytes:
    """An ID3 frame of a hundred bytes."""
    data = b"\0" + f"{number:089d}".encode()
    return b"TXXX" + synchsafe(len(data)) + b"\0\0" + data


def packed_frames(count: int) -> bytes:
    """Ten megabytes of silence in each, a minute and a half; four hundred of them are eleven hours."""
    frame = deflated(b"", 0, 9 * _MB)
    sound = sound_track(1, b"A_PCM/INT/LIT", compressed(matroska.ZLIB), rate=48_000.0)
    return matroska.matroska([sound], *(cluster(number * 98_000, frame) for number in range(count)))


def opus(seconds: int) -> bytes:
    """Packets that say only how long they are, of which even that is left out: the header has it, once for all of them."""
    packet = bytes([1 << 3 | 3, 6])  # six frames of 20 ms, each of no bytes
    sound = sound_track(1, b"A_OPUS", matroska.element(matroska.PRIVATE, _OPUS), compressed(matroska.STRIP, packet), rate=48_000.0)
    lasting = int(_LACED * _PACKET_SECONDS * 1_000)
    return matroska.matroska([sound], *(cluster(time, b"", laced=_LACED) for time in range(0, seconds * 1_000, lasting)))
