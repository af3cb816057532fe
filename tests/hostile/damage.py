"""Real recordings, cut off, with bits turned, or with another's head."""

import random
from collections.abc import Callable, Mapping
from functools import partial

from tests.hostile.item import HEARD, Item

_ENDS = (HEARD, "unsupported_media", "empty_audio", "no_audio_stream", "too_many_channels", "recording_too_long", "memory_limit")
"""Whatever comes of it: a code that is known, and never one that would have it tried again."""

_HEAD = 64


def items(recordings: Mapping[str, bytes], seed: int, each: int) -> list[Item]:
    """`each` of every kind for each of `recordings`, by their names."""
    return [
        Item(f"{name}, {kind} {number}", partial(_harmed, harm, data, recordings, f"{seed} {name} {kind} {number}"), _ENDS)
        for name, data in recordings.items()
        for kind, harm in _HARM.items()
        for number in range(each)
    ]


def _harmed(harm: "Harm", data: bytes, others: Mapping[str, bytes], seed: str) -> bytes:
    return harm(data, others, random.Random(seed))  # noqa: S311 - the same every time, on purpose


def _truncated(data: bytes, _others: Mapping[str, bytes], chance: random.Random) -> bytes:
    """Half of them in the first bytes, where a parser expects most."""
    longest = len(data) if chance.random() < 0.5 else 4 * _HEAD
    return data[: chance.randint(1, longest)]


def _flipped(data: bytes, _others: Mapping[str, bytes], chance: random.Random) -> bytes:
    """From one bit to one in a hundred bytes, half of the time in the head alone."""
    harmed = bytearray(data)
    reach = len(data) if chance.random() < 0.5 else min(len(data), 16 * _HEAD)
    for _ in range(chance.randint(1, max(1, reach // 100))):
        harmed[chance.randrange(reach)] ^= 1 << chance.randrange(8)
    return bytes(harmed)


def _disguised(data: bytes, others: Mapping[str, bytes], chance: random.Random) -> bytes:
    """The head of one container, and the rest of another."""
    other = others[chance.choice(sorted(others))]
    cut = chance.randint(4, _HEAD)
    return other[:cut] + data[cut:]


def _shuffled(data: bytes, _others: Mapping[str, bytes], chance: random.Random) -> bytes:
    """Pieces missing, doubled and out of order, after a sound head."""
    size = max(1, (len(data) - _HEAD) // 16)
    pieces = [data[place : place + size] for place in range(_HEAD, len(data), size)]
    return data[:_HEAD] + b"".join(chance.choices(pieces, k=len(pieces)))


Harm = Callable[[bytes, Mapping[str, bytes], random.Random], bytes]

_HARM: dict[str, Harm] = {"truncated": _truncated, "flipped": _flipped, "with a wrong head": _disguised, "shuffled": _shuffled}
