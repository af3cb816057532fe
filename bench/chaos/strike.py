"""What goes wrong, to whom, for how long and how: all of it drawn beforehand from the seed, whatever load and machine make of it.

Each strike has a generator of its own, and draws the same whichever kind it is: that one kind comes to need more changes no other strike.
"""

import random
from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec

T = TypeVar("T")

Link = tuple[str | None, str]
"""Between two parts; None: between every service and that server."""


class Strike(msgspec.Struct, frozen=True, kw_only=True):
    """Services and servers are in an order; where one alone is meant, it is the first. `length` and `way` are from 0 to 1."""

    kind: str
    services: tuple[str, ...]
    servers: tuple[str, ...]
    link: Link
    length: float
    way: float
    all_of_them: bool
    breath: float
    """Seconds of rest after it."""

    def seconds(self, shortest: float, longest: float) -> float:
        return shortest + self.length * (longest - shortest)

    def one_of(self, ways: Sequence[T]) -> T:
        return ways[int(self.way * len(ways))]


def strikes(seed: str, kinds: Sequence[str], *, services: Sequence[str], servers: Sequence[str], links: Sequence[Link]) -> Iterator[Strike]:
    """Without end: each kind once, in some order, and again."""
    number = 0
    while True:
        for kind in _chance(f"{seed} round {number}").sample(kinds, len(kinds)):
            chance = _chance(f"{seed} strike {number}")
            number += 1
            yield Strike(
                kind=kind,
                services=tuple(chance.sample(services, len(services))),
                servers=tuple(chance.sample(servers, len(servers))),
                link=chance.choice(links),
                length=chance.random(),
                way=chance.random(),
                all_of_them=chance.random() < 0.2,
                breath=chance.uniform(0.5, 3),
            )


def _chance(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311 - makes trouble, guards nothing
