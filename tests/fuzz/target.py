"""What is fuzzed: a function that takes any bytes and raises when something is broken, with bytes to begin from."""

from collections.abc import Callable
from typing import NamedTuple


class Target(NamedTuple):
    name: str
    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
