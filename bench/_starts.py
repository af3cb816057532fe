"""How far the first words of lines are from where they are said."""

import statistics
from collections.abc import Iterable, Sequence
from math import inf
from typing import NamedTuple

_SEARCHED = 1.0
"""Seconds: a word that is farther away is another one."""


class Starts(NamedTuple):
    """Milliseconds of the median line, one whose first word is not there being as far off as can be; how many of the `lines` were found."""

    median: float
    found: int
    lines: int

    def __str__(self) -> str:
        return f"{self.median:.0f} ({self.found} of {self.lines} lines found)"


def start_errors(lines: Iterable[tuple[float, str]], words: Sequence[tuple[float, str]]) -> Starts:
    """When lines start and with which word, against all words that were heard: the nearest of those that are the same counts."""
    errors = []
    for start, first in lines:
        same = [abs(at - start) for at, word in words if word == first and abs(at - start) < _SEARCHED]
        errors.append(1000 * min(same, default=inf))
    return Starts(statistics.median(errors), sum(error < inf for error in errors), len(errors))
