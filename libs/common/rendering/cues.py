"""From a transcript to subtitle cues: what is shown together, in which lines, and from when to when.

Three steps, each a pure function of its input: divide each speaker's stretches into cues, join those that would flash by, give them their
times and lines. The rules are kept in this order: no text is left out or repeated; no cue has two speakers; lines and their lengths;
`max_duration`; then, as far as the next cue leaves room, `min_gap`, `min_duration` and `max_cps`. Where to divide is the cheapest way
through all places at which one may (as TeX breaks a paragraph): after a sentence costs nothing, after a clause or before a pause little.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, pairwise

import msgspec
from wcwidth import width

from common.rendering.layout import Layout
from common.rendering.units import Piece, Unit, clean, units
from common.transcript import Segment, Transcript, Word

PAUSE_SECONDS = 1.5
"""No cue goes on over a longer silence."""

_SENTENCE_ENDS = tuple(".?!…。？！؟।۔")  # noqa: RUF001 - every script's own marks
_CLAUSE_ENDS = tuple(",;:、，；：،؛—–")  # noqa: RUF001
_QUOTES = "\"'”’»)]}」』）"  # noqa: RUF001
_SHORT_PAUSE = 0.3


class Cue(msgspec.Struct, frozen=True):
    """Milliseconds; a line's pieces carry their leading spaces. The label, if there is one, is a piece of the word -1."""

    start: int
    end: int
    speaker: str | None
    lines: tuple[tuple[Piece, ...], ...]

    @property
    def said(self) -> str:
        """The text in one line, without the label."""
        return " ".join("".join(piece.text for piece in line if piece.word >= 0) for line in self.lines)


class _Draft(msgspec.Struct, frozen=True):
    """A cue without times and lines."""

    units: tuple[Unit, ...]
    speaker: str | None

    @property
    def start(self) -> float:
        return self.units[0].start

    @property
    def end(self) -> float:
        return self.units[-1].end


def cues(transcript: Transcript, layout: Layout, *, labelled: bool) -> list[Cue]:
    """All cues in the order of their starts; with `labelled` the speaker's name takes room in front of the text."""
    drafts: list[_Draft] = []
    number = 0
    for segment in sorted(transcript.segments, key=lambda segment: segment.start):
        for turn in _turns(segment):
            shown = clean(turn.speaker) if turn.speaker is not None and layout.speaker_labels else None
            for stretch in _stretches(units(turn, layout.max_line_length, number=number)):
                label = _label(shown) if labelled else None
                drafts.extend(_Draft(part, shown) for part in _divide(stretch, label, layout))
            number += max(1, len(turn.words))
    drafts = _joined(drafts, layout, labelled=labelled)
    return [
        Cue(start, end, draft.speaker, _lines(draft.units, _label(draft.speaker) if labelled else None, layout))
        for draft, (start, end) in zip(drafts, _times(drafts, layout), strict=True)
    ]


def _turns(segment: Segment) -> Iterator[Segment]:
    """The segment, divided where its words change speakers."""
    if len({word.speaker for word in segment.words}) < 2:
        yield segment
        return
    text = clean(segment.text)
    begin, position = 0, 0
    groups = [(speaker, list(words)) for speaker, words in groupby(segment.words, lambda word: word.speaker or segment.speaker)]
    for (speaker, words), following in zip(groups, [*groups[1:], None], strict=True):
        for word in words:
            position = max(position, text.find(clean(word.word), position) + len(clean(word.word)))
        end = len(text) if following is None else max(position, text.find(clean(following[1][0].word), position))
        yield _part(segment, speaker, words, text[begin:end])
        begin = end


def _part(segment: Segment, speaker: str | None, words: list[Word], text: str) -> Segment:
    return msgspec.structs.replace(segment, speaker=speaker, words=tuple(words), text=text, start=words[0].start, end=words[-1].end)


def _stretches(found: Sequence[Unit]) -> Iterator[list[Unit]]:
    """Units without a long silence between them."""
    stretch: list[Unit] = []
    for unit in found:
        if stretch and unit.start - stretch[-1].end >= PAUSE_SECONDS:
            yield stretch
            stretch = []
        stretch.append(unit)
    if stretch:
        yield stretch


def _divide(found: Sequence[Unit], label: Unit | None, layout: Layout) -> Iterator[tuple[Unit, ...]]:
    """The cheapest cues that say all of `found`."""
    room = layout.max_lines * layout.max_line_length
    costs = _break_costs(found)
    starts, ends = [unit.start for unit in found], [unit.end for unit in found]

    def steps(first: int) -> Iterator[tuple[int, float]]:
        start = starts[first]
        for last, (lines, filled) in enumerate(_filled(found, first, label, layout.max_line_length), first):
            spoken = ends[last] - start
            if last > first and (lines > layout.max_lines or spoken > layout.max_duration):
                return
            empty = 1 - min(1.0, filled / room)
            yield last + 1, 1 + empty * empty + (spoken < layout.min_duration) + costs[last]

    return (tuple(found[a:b]) for a, b in pairwise(_cheapest(len(found), steps)))


def _filled(found: Sequence[Unit], first: int, label: Unit | None, limit: int) -> Iterator[tuple[int, int]]:
    """After each unit from `first` on: how many lines there are, and how many columns are filled.

    Each line is filled before the next, which needs no more lines than any other way.
    """
    lines, used, filled = 1, 0 if label is None else label.width, 0
    for index in range(first, len(found)):
        unit = found[index]
        more = unit.width + 1 if used and (unit.space or index == first) else unit.width
        if used and used + more > limit:
            lines += 1
            used, more = 0, unit.width
        used += more
        filled += more
        yield lines, filled


def _joined(drafts: Iterable[_Draft], layout: Layout, *, labelled: bool) -> list[_Draft]:
    """Cues that would be too short, joined to a neighbour of the same speaker when both fit."""
    joined: list[_Draft] = []
    for draft in drafts:
        if joined:
            before = joined[-1]
            both = _Draft(
                (*before.units, msgspec.structs.replace(draft.units[0], space=_spaced(before, draft)), *draft.units[1:]), draft.speaker
            )
            short = min(before.end - before.start, draft.end - draft.start) < layout.min_duration
            near = 0 <= draft.start - before.end < PAUSE_SECONDS and before.speaker == draft.speaker
            if short and near and _fits(both, layout, labelled=labelled):
                joined[-1] = both
                continue
        joined.append(draft)
    return joined


def _spaced(before: _Draft, after: _Draft) -> bool:
    """Whether a space belongs between two texts: not between wide characters."""
    return after.units[0].space or not (width(before.units[-1].last[-1]) == 2 and width(after.units[0].pieces[0].text[0]) == 2)


def _fits(draft: _Draft, layout: Layout, *, labelled: bool) -> bool:
    label = _label(draft.speaker) if labelled else None
    *_, (lines, _) = _filled(draft.units, 0, label, layout.max_line_length)
    return lines <= layout.max_lines and draft.end - draft.start <= layout.max_duration


def _times(drafts: Sequence[_Draft], layout: Layout) -> Iterator[tuple[int, int]]:
    """Start and end of each cue. Where speakers overlap so do their cues; otherwise one ends before the next begins."""
    for index, draft in enumerate(drafts):
        wanted = max(layout.min_duration, sum(unit.width + unit.space for unit in draft.units) / layout.max_cps)
        start, spoken = draft.start, draft.end
        end = min(max(spoken, start + wanted), start + layout.max_duration)
        following = drafts[index + 1].start if index + 1 < len(drafts) else None
        if following is not None and following >= spoken:
            # A gap never takes more than half of what is spoken.
            end = min(end, max(following - layout.min_gap, (start + min(spoken, end)) / 2))
        first = round(start * 1000)
        yield first, max(first + 1, round(end * 1000))


def _lines(found: Sequence[Unit], label: Unit | None, layout: Layout) -> tuple[tuple[Piece, ...], ...]:
    """As few lines as can be, of like length, broken at clauses where possible."""
    if label is not None:
        found = (label, msgspec.structs.replace(found[0], space=True), *found[1:])
    costs = _break_costs(found)

    def steps(first: int) -> Iterator[tuple[int, float]]:
        used = 0
        for last in range(first, len(found)):
            used += found[last].width + (found[last].space and last > first)
            if used > layout.max_line_length and last > first:
                return
            yield last + 1, 10 + (1 - used / layout.max_line_length) ** 2 + 0.2 * costs[last]

    return tuple(_line(found[a:b]) for a, b in pairwise(_cheapest(len(found), steps)))


def _line(found: Sequence[Unit]) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    for unit in found:
        first, *others = unit.pieces
        pieces.append(msgspec.structs.replace(first, text=" " + first.text) if unit.space and pieces else first)
        pieces.extend(others)
    return tuple(pieces)


def _break_costs(found: Sequence[Unit]) -> list[float]:
    """What it costs to break after each unit."""
    return [_break_cost(unit, following) for unit, following in pairwise(found)] + [0.0]


def _break_cost(unit: Unit, following: Unit) -> float:
    text = unit.last.rstrip(_QUOTES)
    if text.endswith(_SENTENCE_ENDS):
        return 0.0
    if text.endswith(_CLAUSE_ENDS) or following.start - unit.end >= _SHORT_PAUSE:
        return 0.4
    return 1.5


def _cheapest(count: int, steps: Callable[[int], Iterable[tuple[int, float]]]) -> list[int]:
    """The borders, 0 and `count` included, with the least sum of costs; `steps` gives the next borders after one and their costs."""
    best = [0.0] + [float("inf")] * count
    came = [0] * (count + 1)
    for border in range(count):
        for following, cost in steps(border):
            if best[border] + cost < best[following]:
                best[following] = best[border] + cost
                came[following] = border
    borders = [count]
    while borders[-1]:
        borders.append(came[borders[-1]])
    return borders[::-1]


def _label(speaker: str | None) -> Unit | None:
    if speaker is None:
        return None
    text = f"{speaker}:"
    return Unit((Piece(text, 0.0, 0.0, -1),), space=False, width=width(text))
