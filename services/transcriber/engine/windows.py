"""How much Whisper is made to hear at once: a chunk of speech is padded with silence only as far as is safe, not always to 30 seconds.

Whisper was trained on 30 s, most of it padded in short clips; CTranslate2 encodes fewer frames just as well, in proportionally less time.
What it needs is silence behind the speech: with less than three seconds of it, or less than twelve in all, words are lost or repeated
(docs/architecture/batching.md). Chunks of one window can share a batch.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

LONGEST = 30
"""Seconds; what Whisper was trained on."""

WINDOWS = (12, 16, 20, LONGEST)
TRAIL_SECONDS = 3.0


class Windowed(Protocol):
    """Something to be heard in a window of so many seconds."""

    @property
    def window(self) -> int: ...


Piece = TypeVar("Piece", bound=Windowed)


def window(seconds: float) -> int:
    """The shortest window that is safe for a chunk of so many seconds."""
    return next((each for each in WINDOWS if seconds + TRAIL_SECONDS <= each), LONGEST)


def batches(pieces: Iterable[Piece], size: Callable[[int], int]) -> Iterator[Sequence[Piece]]:
    """Those of one window together, at most as many as `size` says of it then, in the order given.

    Longer windows come first, as they tell most about the language.
    """
    buckets: dict[int, list[Piece]] = {}
    for piece in pieces:
        buckets.setdefault(piece.window, []).append(piece)
    for length, bucket in sorted(buckets.items(), reverse=True):
        start = 0
        while start < len(bucket):
            batch = bucket[start : start + size(length)]
            yield batch
            start += len(batch)
