"""How many short jobs a slot takes up at once.

A short recording leaves most of the engine's batch empty, so the slot that claims one goes on claiming while the best job is short too, and
works on all of them side by side: the engine hears them together. Every bound here is against taking from other workers what they could
do at the same time, and against losing much at once when this one dies.
"""

from collections.abc import Sequence

SHORT_SECONDS = 30.0
"""What the engine hears at once."""

MOST_SECONDS = 240.0
"""Of audio in one slot, where it is more than one job."""


def room_for(lengths: Sequence[float | None], most: int) -> float | None:
    """How long another job may be to be worked on beside those of `lengths`, in seconds of audio; None when there is to be none."""
    known = [length for length in lengths if length is not None]
    if len(lengths) >= most or len(known) < len(lengths) or max(known) > SHORT_SECONDS:
        return None
    left = MOST_SECONDS - sum(known)
    return min(SHORT_SECONDS, left) if left > 0 else None
