"""One hostile recording, and how it may end."""

from collections.abc import Callable
from typing import NamedTuple

HEARD = "heard"
"""It is decoded after all: an honest end for what is merely odd."""


class Item(NamedTuple):
    """`ends` are the codes that it may end with, or `HEARD`; `make` gives its bytes, the same every time.

    `heavy` ones take more than a test may.
    """

    name: str
    make: Callable[[], bytes]
    ends: tuple[str, ...]
    heavy: bool = False
