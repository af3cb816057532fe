"""Right-to-left text in formats that say nothing of direction, where players go by a line's first letter.

A line of a right-to-left cue that begins with something else (a speaker's label, a number, a foreign name) would be laid out from the left,
its full stop at the wrong end. An invisible right-to-left mark in front of such a line puts that right.
"""

from collections.abc import Sequence
from unicodedata import bidirectional

MARK = "\u200f"
_RIGHT = {"R", "AL"}


def is_right_to_left(text: str) -> bool:
    """Whether most of the letters are."""
    classes = [bidirectional(character) for character in text]
    return sum(kind in _RIGHT for kind in classes) > classes.count("L")


def marked(lines: Sequence[str], *, said: str) -> list[str]:
    """The lines, each with a mark in front if it needs one; `said` is the text without labels and markup."""
    if not is_right_to_left(said):
        return list(lines)
    return [line if _begins_right(line) else MARK + line for line in lines]


def _begins_right(line: str) -> bool:
    strong = (kind for kind in map(bidirectional, line) if kind in _RIGHT or kind == "L")
    return next(strong, "L") in _RIGHT
