"""Where in a script each spoken word belongs: the best path through both, over all of either.

The path goes on from word to word. It may leave out words of the script and pass over spoken ones, for what they weigh; leave the script
altogether and stay outside for nothing (an opening formula, an aside, applause); and come back anywhere, for a fixed price, so lines may be
skipped and said again. All weights are in half letters, so a long word says more than a short one and costs of all kinds can be compared.

A table of 30,000 words by as many would be too large, so only a stretch of it is ever held: the path is walked back stretch by stretch,
each worked out anew from the row that was kept at its beginning. And numbers are kept relative to being outside, from where any place can
be had for `_PRICE_WITHIN`: what is worse than that never matters, so however long the recording is, a byte is enough.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import Indel

from services.transcriber.engine.reference import folding

_PRICE = 16
"""Of coming in at the beginning of a line: what eight letters are worth. A shorter line is only ever found beside others."""

_PRICE_WITHIN = 28
"""Of coming in anywhere else."""

_WORST = -_PRICE_WITHIN - 1
_NEVER = -_WORST + 1
"""What costs as much never pays."""

_HEAVIEST = 30
"""So that sums fit a byte. A longer word says no more."""

_LIKENESS = 0.5
"""Below it two words have nothing in common that would be worth more than passing over both."""

_SHIFTS = (1, 2, 4, 8, 16, 32)
"""Together they leave out more words than can ever pay."""

_TABLE_BYTES = 2**26
_GAINS_BYTES = 2**27
_TELL = 256

_ENTERED, _PASSED, _LEFT_OUT = 1, 2, 4
"""What a cell says of how it was come by, from outside, past the spoken word or past the script's; with 0, from the word before."""

Row = NDArray[np.int8]


class Step(NamedTuple):
    """A spoken word's place in the script, whether it is much like the word there or not; `entered`: the path came in from elsewhere."""

    place: int
    entered: bool


class Script:
    """Tokens of a text, each with the number of its line, in order."""

    def __init__(self, tokens: Sequence[str], lines: Sequence[int]) -> None:
        self.tokens, self.lines = tokens, lines
        self.weights = np.array([_weight(token) for token in tokens], np.int64)
        self._words = list(dict.fromkeys(tokens))
        numbers = {word: number for number, word in enumerate(self._words)}
        self._places = np.array([numbers[token] for token in tokens], np.intp)
        self._word_weights = np.array([_weight(word) for word in self._words], np.float32)
        self._gains: dict[str, Row] = {}
        sums = np.concatenate(([0], np.cumsum(self.weights)))
        first = np.searchsorted(np.asarray(lines), lines)
        self.entering: Row = -np.minimum(_PRICE_WITHIN, _PRICE + sums[:-1] - sums[first]).astype(np.int8)
        """What it takes to come in: at a line's beginning, or a word or two later as if these had been left out."""
        costs = ((shift, sums[shift + 1 :] - sums[1:-shift]) for shift in _SHIFTS if shift < len(tokens))
        self.omissions = [(shift, np.minimum(cost, _NEVER).astype(np.int8)) for shift, cost in costs if cost.min() < _NEVER]
        """What it takes to leave out as many words, by the place after them."""

    def gains(self, token: str) -> Row:
        """What it is worth to take each word of the script for `token`."""
        if token in self._gains:
            return self._gains[token]
        alike = process.cdist([token], self._words, scorer=Indel.normalized_similarity, score_cutoff=_LIKENESS, dtype=np.float32)[0]
        gains: Row = np.rint((self._word_weights + _weight(token)) * (2 * alike - 1)).astype(np.int8)[self._places]
        if len(self._gains) * len(gains) < _GAINS_BYTES:  # common words come first
            self._gains[token] = gains
        return gains


def align(
    spoken: Sequence[str], script: Script, progress: Callable[[float], None] = lambda _: None, *, table_bytes: int = _TABLE_BYTES
) -> list[Step | None]:
    """A step for each spoken token; None for what belongs nowhere. `progress` gets fractions of 1."""
    if not spoken or not script.tokens:
        return [None] * len(spoken)
    rows = max(1, table_bytes // len(script.tokens))
    starts = range(0, len(spoken), rows)
    work, done = len(spoken) + starts[-1], 0

    def tell() -> None:
        nonlocal done
        done += 1
        if done % _TELL == 0:
            progress(done / work)

    row = np.full(len(script.tokens), _WORST, np.int8)
    kept = [row]
    for start in starts[:-1]:
        for token in spoken[start : start + rows]:
            row, _ = _advance(row, token, script)
            tell()
        kept.append(row)
    steps: list[Step | None] = []
    place: int | None = None
    for start, first in zip(reversed(starts), reversed(kept), strict=True):
        stretch, row = spoken[start : start + rows], first
        table = np.zeros((len(stretch), len(script.tokens)), np.uint8)
        left = np.empty(len(stretch), np.int32)
        for number, token in enumerate(stretch):
            row, left[number] = _advance(row, token, script, table[number])
            tell()
        for number in reversed(range(len(stretch))):
            step, place = _back(table[number], int(left[number]), place)
            steps.append(step)
    return steps[::-1]


def _advance(row: Row, token: str, script: Script, codes: NDArray[np.uint8] | None = None) -> tuple[Row, int]:
    """The row after one more spoken token, and from which place the path is best left then; -1: from none, it was better outside before."""
    went_on = np.empty_like(row)
    went_on[0], went_on[1:] = _WORST, row[:-1]
    taken = np.maximum(went_on, script.entering)
    taken += script.gains(token)
    passed = row - np.int8(_weight(token))
    best = np.maximum(taken, passed)
    np.maximum(best, np.int8(_WORST), out=best)
    reached = best.copy()
    for shift, cost in script.omissions:
        np.maximum(reached[shift:], reached[:-shift] - cost, out=reached[shift:])
    if codes is not None:
        np.multiply(script.entering > went_on, np.uint8(_ENTERED), out=codes)
        codes[passed > taken] = _PASSED
        codes[reached > best] = _LEFT_OUT
    place = int(reached.argmax())
    outside = max(int(reached[place]), 0)
    np.maximum(reached, np.int8(_WORST + outside), out=reached)
    reached -= np.int8(outside)
    return reached, place if outside else -1


def _back(codes: NDArray[np.uint8], left: int, place: int | None) -> tuple[Step | None, int | None]:
    """What was done with a token, and where the path was before; `place` is where it was after, None outside."""
    if place is None:
        if left < 0:
            return None, None
        place = left
    while codes[place] == _LEFT_OUT:
        place -= 1
    if codes[place] == _PASSED:
        return None, place
    return Step(place, entered=bool(codes[place])), None if codes[place] else place - 1


def _weight(token: str) -> int:
    return min(folding.weight(token), _HEAVIEST)
