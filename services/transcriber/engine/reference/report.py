"""The lines of a reference in what was said: where each is, how sure that is, and what has no counterpart on either side.

A take is a line said in one go, or begun anew with next to nothing between. Of a line's takes the fullest is its own, or one that is not
much less full but said before or after its neighbour; of equals the first. The others are told as repeated. What has less than half of a
line is a chance likeness.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, zip_longest
from typing import NamedTuple

import msgspec
from rapidfuzz.distance import Indel

from common.references.lines import Line
from common.transcript import Diagnostics, ReferenceLine, ReferenceReport, Repeated, Segment, Unmatched, Word
from services.transcriber.engine.postprocess.phrases import SPACELESS
from services.transcriber.engine.reference.folding import tokens, weight
from services.transcriber.engine.reference.path import Script, Step, align

_HEARD = 0.7
"""How like a word of the script one has to be to be that word."""

_LEAST = 0.5
"""Of a line's letters."""

_IN_ORDER = 0.25
"""What it counts, in parts of a line, that a neighbour is said beside it."""

_TOGETHER = 5.0
"""Seconds between two parts of one take, at most."""

_AROUND = 0.2
"""Seconds of silence that a line takes along at either end, where there are twice as many."""

_PAUSE = 0.15
"""Seconds of silence that make an end sure, whoever timed the word."""

_LONGEST_TEXT = 200


class _Token(NamedTuple):
    """`word` counts all words of the recording in their order."""

    text: str
    start: float
    end: float
    word: int


class _Take(msgspec.Struct):
    """Tokens `first` to `last` of what was said are line `line`, of which the words at `places` of the script were heard.

    `neighbour`: it follows the line before it, or the line after it follows.
    """

    line: int
    first: int
    last: int
    places: set[int]
    neighbour: bool
    readings: int = 1


def report(
    segments: Sequence[Segment], lines: Sequence[Line], duration: float, progress: Callable[[float], None] = lambda _: None
) -> ReferenceReport:
    """`progress` gets fractions of 1."""
    words = [word for segment in sorted(segments, key=lambda each: (each.start, each.end)) for word in segment.words]
    said = list(_spoken(words))
    script = _script(lines)
    steps = align([token.text for token in said], script, progress)
    finder = _Finder(words, said, script, duration)
    takes = finder.takes(steps)
    own: dict[int, _Take] = {}
    for take in takes:
        if take.line not in own or finder.rank(take) > finder.rank(own[take.line]):
            own[take.line] = take
    found = tuple(finder.line(lines[number], own[number]) for number in sorted(own))
    heard = sum(int(script.weights[sorted(take.places)].sum()) for take in own.values())
    return ReferenceReport(
        found,
        Diagnostics(
            lines=len(lines),
            found=len(found),
            coverage=round(heard / max(1, int(script.weights.sum())), 4),
            missing=tuple(line.number for number, line in enumerate(lines) if number not in own),
            repeated=tuple(Repeated(lines[take.line].number, *finder.times(take)) for take in takes if take is not own[take.line]),
            unmatched=tuple(finder.unmatched(takes)),
            last_end=max((line.end for line in found), default=None),
            input_end=duration,
        ),
    )


class _Finder:
    """What was said, beside the script."""

    def __init__(self, words: Sequence[Word], said: Sequence[_Token], script: Script, duration: float) -> None:
        self._words, self._said, self._script, self._duration = words, said, script, duration

    def takes(self, steps: Sequence[Step | None]) -> list[_Take]:
        """In the order in which they are said, without chance likenesses: alone, or in the midst of a line."""
        parts = list(self._parts(steps))
        takes: list[_Take] = []
        for part, following in zip_longest(parts, parts[1:]):
            if takes and following is not None and self.coverage(part) < _LEAST and self._continues(takes[-1], following):
                continue
            if takes and self._continues(takes[-1], part):
                takes.append(_joined(takes.pop(), part))
            else:
                takes.append(part)
        return [take for take in takes if self.coverage(take) >= _LEAST]

    def coverage(self, take: _Take) -> float:
        """Of the line's letters, the part that was heard."""
        weights, line = self._script.weights, self._line(take.line)
        return float(weights[sorted(take.places)].sum() / weights[line.start : line.stop].sum())

    def rank(self, take: _Take) -> float:
        """How likely it is the one that is meant."""
        return self.coverage(take) + _IN_ORDER * take.neighbour

    def times(self, take: _Take) -> tuple[float, float]:
        """With some of the silence around it."""
        first, last = self._said[take.first], self._said[take.last]
        start = first.start - min(_AROUND, self._silence(take.first) / 2)
        end = last.end + min(_AROUND, self._silence(take.last + 1) / 2)
        return round(max(0.0, start), 3), round(min(self._duration, end), 3)

    def line(self, line: Line, take: _Take) -> ReferenceLine:
        start, end = self.times(take)
        places = self._line(take.line)
        sure = (
            {places.start, places.stop - 1} <= take.places
            and self._sure(self._said[take.first], take.first)
            and self._sure(self._said[take.last], take.last + 1)
        )
        return ReferenceLine(
            number=line.number,
            text=line.text,
            start=start,
            end=end,
            coverage=round(self.coverage(take), 4),
            readings=take.readings,
            cutoff_uncertain=not sure,
        )

    def unmatched(self, takes: Sequence[_Take]) -> Iterator[Unmatched]:
        """Words that are part of no take, those together between which there is neither a take nor a long pause."""
        taken = {number for take in takes for number in range(self._said[take.first].word, self._said[take.last].word + 1)}
        gaps = 0
        marked: list[tuple[int, Word]] = []
        for number, word in enumerate(self._words):
            if number in taken:
                gaps += 1
            elif tokens(word.word):
                gaps += bool(marked) and word.start - marked[-1][1].end > _TOGETHER
                marked.append((gaps, word))
        for _, group in groupby(marked, key=lambda pair: pair[0]):
            words = [word for _, word in group]
            yield Unmatched(words[0].start, words[-1].end, _shortened(_written(words)))

    def _parts(self, steps: Sequence[Step | None]) -> Iterator[_Take]:
        """Steps in one line, the path never coming in anew."""
        part: _Take | None = None
        entered = False
        for number, step in enumerate(steps):
            if step is None:
                continue
            entered |= step.entered
            if Indel.normalized_similarity(self._said[number].text, self._script.tokens[step.place]) < _HEARD:
                continue
            line = self._script.lines[step.place]
            if part is not None and part.line == line and not entered:
                part.last = number
                part.places.add(step.place)
                continue
            if part is not None:
                part.neighbour |= not entered
                yield part
            part, entered = _Take(line, number, number, {step.place}, neighbour=not entered), False
        if part is not None:
            yield part

    def _continues(self, take: _Take, part: _Take) -> bool:
        return take.line == part.line and self._said[part.first].start - self._said[take.last].end <= _TOGETHER

    def _line(self, line: int) -> range:
        """Its places in the script."""
        return range(bisect_left(self._script.lines, line), bisect_right(self._script.lines, line))

    def _silence(self, following: int) -> float:
        """Seconds without a word before token `following`."""
        before = self._said[following - 1].end if following else 0.0
        after = self._said[following].start if following < len(self._said) else self._duration
        return max(0.0, after - before)

    def _sure(self, token: _Token, edge: int) -> bool:
        """`edge` is the token that follows the end in question."""
        if 0 < edge < len(self._said) and self._said[edge - 1].word == self._said[edge].word:
            return False  # the line ends within what was written as one word
        return self._words[token.word].timing == "aligned" or self._silence(edge) >= _PAUSE


def _joined(take: _Take, part: _Take) -> _Take:
    """The line may be begun anew, or gone on with or taken up in its midst."""
    anew = min(part.places) <= min(take.places)
    return _Take(take.line, take.first, part.last, take.places | part.places, take.neighbour or part.neighbour, take.readings + anew)


def _spoken(words: Sequence[Word]) -> Iterator[_Token]:
    """A word's tokens share its time by what they weigh."""
    for number, word in enumerate(words):
        parts = tokens(word.word)
        rate = (word.end - word.start) / max(1, sum(map(weight, parts)))
        start = word.start
        for part in parts:
            end = start + rate * weight(part)
            yield _Token(part, start, end, number)
            start = end


def _script(lines: Sequence[Line]) -> Script:
    found = [(token, number) for number, line in enumerate(lines) for token in tokens(line.text)]
    return Script([token for token, _ in found], [number for _, number in found])


def _written(words: Sequence[Word]) -> str:
    text = ""
    for word in words:
        text += word.word if not text or (SPACELESS.match(word.word) and SPACELESS.match(text[-1])) else f" {word.word}"
    return text


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"
