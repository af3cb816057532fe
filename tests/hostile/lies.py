"""Headers that do not tell the truth, and containers in containers."""

import struct
from collections.abc import Iterable

import numpy as np

from tests.hostile import matroska
from tests.hostile.containers import box, chunk, id3, mp4, pcm_format, riff, track
from tests.hostile.item import HEARD, Item
from tests.hostile.matroska import cluster, element, sound_track

_SECOND = np.full(16_000, 1_000, np.int16).tobytes()
_NOTHING = ("unsupported_media", "empty_audio")
_ANY = (HEARD, *_NOTHING)


def items() -> list[Item]:
    return [
        Item("a wav of 37 hours that ends after a second", lambda: wav(claimed=0xFFFF_FFF0), (HEARD,)),
        Item("an mp4 of 136 years that ends after 64 bytes", lambda: mp4(track(samples=2, each=32, lasting=2**31)), _ANY),
        Item("a matroska of a billion years", lambda: mka(duration=1e22), (HEARD,)),
        Item("a matroska whose sounds are days apart", lambda: mka(times=(0, 2**40, 0, 2**62, 5)), (HEARD,)),
        Item("a matroska of hours for every kilobyte", lambda: mka(times=range(0, 20 * 3_600_000, 600_000)), (HEARD,), heavy=True),
        Item("10,000 channels", lambda: wav(channels=10_000), ("unsupported_media",)),
        Item("65,535 channels", lambda: wav(channels=65_535), ("unsupported_media",)),
        Item("no channel", lambda: wav(channels=0), _ANY),
        Item("no sample rate", lambda: wav(rate=0), _ANY),
        Item("no bits a sample", lambda: wav(bits=0), _ANY),
        Item("2,000 tracks", lambda: mka(tracks=2_000), _ANY),
        Item("boxes in boxes in boxes", lambda: box(b"ftyp", b"M4A \0\0\2\0") + nested(5_000), _NOTHING),
        Item("elements in elements in elements", lambda: segments(2_000), _NOTHING),
        Item("lists in lists in lists", lambda: riff(pcm_format(rate=16_000), lists(5_000), chunk(b"data", _SECOND)), (HEARD,)),
        Item("a wav in a wav", lambda: riff(pcm_format(rate=16_000), chunk(b"data", wav())), (HEARD,)),
        Item("a wav in a matroska's codec data", lambda: mka(private=wav() * 8), (HEARD,)),
        Item("id3 after id3 after id3", lambda: id3() * 20_000 + wav(), _ANY),
        Item("a matroska in an mp4's content", lambda: mp4(track(samples=100, each=32), content=mka()), _ANY),
    ]


def wav(*, channels: int = 1, rate: int = 16_000, bits: int = 16, claimed: int | None = None) -> bytes:
    """A second of sound, or what is said to be one."""
    return riff(pcm_format(rate=rate, channels=channels, bits=bits), chunk(b"data", _SECOND, claimed))


def mka(*, duration: float = 1_000.0, tracks: int = 1, private: bytes = b"", times: Iterable[int] = (0,)) -> bytes:
    """The same in Matroska, at each of `times` in milliseconds."""
    more = (element(matroska.PRIVATE, private),) if private else ()
    sounds = [sound_track(number, b"A_PCM/INT/LIT", *more, rate=16_000.0) for number in range(1, tracks + 1)]
    return matroska.matroska(sounds, *(cluster(time, _SECOND) for time in times), duration=duration)


def nested(depth: int) -> bytes:
    """Boxes that hold nothing but each other."""
    names = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
    return b"".join(struct.pack(">I", 8 * (depth - level)) + names[level % len(names)] for level in range(depth))


def segments(depth: int) -> bytes:
    """The same in EBML, each with a length that reaches to the end of all."""
    ids = [matroska.SEGMENT, matroska.TRACKS, matroska.TRACK, matroska.ENCODINGS, matroska.ENCODING]
    content = b""
    for level in range(depth):
        content = element(ids[(depth - level) % len(ids)], content)
    return element(matroska.EBML, element(matroska.DOC_TYPE, b"matroska")) + content


def lists(depth: int) -> bytes:
    """The same in RIFF."""
    content = b""
    for _ in range(depth):
        content = chunk(b"LIST", b"INFO" + content)
    return content
