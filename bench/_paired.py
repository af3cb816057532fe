"""By how much one side's word error rate exceeds the other's on the same clips, and how much of that may be chance.

With a hundred words a language, one word is a point, and Whisper writes something else for every fifth clip when the same sound begins a
few hundredths of a second later (docs/architecture/batching.md). So a difference comes with what 95 of 100 draws of as many clips, with
replacement, would show of it (the percentile bootstrap). Both sides of a clip are drawn together: what is hard for one is hard for the
other.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

_DRAWS = 4_000
_SEED = 1


class Difference(msgspec.Struct, frozen=True):
    """Points of word error rate; `low` to `high` is what may be chance."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.1f} (95 %: {self.low:+.1f} to {self.high:+.1f})"


def difference(words: Sequence[int], ours: Sequence[int], theirs: Sequence[int]) -> Difference:
    """Of each clip: how many words are said, and how many each side has wrong."""
    said, more = np.array(words), np.array(ours) - np.array(theirs)
    drawn = np.random.default_rng(_SEED).integers(0, len(said), (_DRAWS, len(said)))
    low, high = np.percentile(100 * more[drawn].sum(axis=1) / np.maximum(1, said[drawn].sum(axis=1)), (2.5, 97.5))
    return Difference(100 * float(more.sum() / said.sum()), float(low), float(high))
