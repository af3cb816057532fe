"""What is fuzzed, on the bytes that fuzzing begins from and on some that are near them."""

import random

import pytest

from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

SEED, ROUNDS = 7, 20


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_strange_bytes_break_nothing(target: Target) -> None:
    """Each seed, and each with some bytes changed, left out or doubled; `./run bench fuzz` goes on from there."""
    chance = random.Random(SEED)  # noqa: S311 - the same every time, on purpose
    for seed in target.seeds:
        target.check(seed)
        for _ in range(ROUNDS):
            target.check(_changed(seed, chance))


def _changed(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(changed) + 1)
        match chance.randrange(3):
            case 0:
                changed[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                del changed[place : place + chance.randint(1, 8)]
            case _:
                changed[place:place] = changed[max(0, place - 8) : place]
    return bytes(changed)
