"""Laying words out in lines that people read: a sentence each where it fits, never across a long pause, never of two speakers.

A line ends after a sentence, before a pause, another speaker or another language, or, when it grows too long, at the best place so far:
after a clause if there is one, otherwise in the longest gap between two words.
"""

from collections.abc import Iterable, Iterator, Sequence

from common.transcript import Segment, Word
from services.transcriber.engine.words import PlacedWord

LONGEST_SECONDS = 12.0
LONGEST_CHARACTERS = 120
PAUSE_SECONDS = 1.0
_SENTENCE_ENDS = ".?!…。？！؟।"  # noqa: RUF001 - every script's own marks
_CLAUSE_ENDS = ",;:、，；：،"  # noqa: RUF001
_CLOSING = "\"'”’»)]}」』）"  # noqa: RUF001


def lay_out(words: Iterable[PlacedWord]) -> list[list[PlacedWord]]:
    """Split words, in order, into lines."""
    lines: list[list[PlacedWord]] = []
    line: list[PlacedWord] = []
    for word in words:
        if line and _parted(line[-1], word):
            lines.append(line)
            line = []
        line.append(word)
        while _too_long(line):
            cut = _best_cut(line)
            lines.append(line[:cut])
            line = line[cut:]
        if _ends(word, _SENTENCE_ENDS):
            lines.append(line)
            line = []
    return [*lines, line] if line else lines


def segments(lines: Iterable[Sequence[PlacedWord]], language: str) -> Iterator[Segment]:
    """Segments of a transcript in `language`, numbered from 0; their confidence is the words' mean score, weighted by their length."""
    for number, line in enumerate(lines):
        weight = sum(len(word.text) for word in line)
        yield Segment(
            id=number,
            start=line[0].start,
            end=line[-1].end,
            text="".join(word.text for word in line).strip(),
            confidence=round(sum(word.score * len(word.text) for word in line) / weight, 4),
            words=tuple(map(_written, line)),
            speaker=line[0].speaker,
            overlap=any(word.overlap for word in line),
            language=None if line[0].language == language else line[0].language,
        )


def _written(word: PlacedWord) -> Word:
    score = round(min(1.0, word.score), 4)
    return Word(word.text.strip(), word.start, word.end, score, word.timing, speaker=word.speaker, overlap=word.overlap)


def _parted(one: PlacedWord, following: PlacedWord) -> bool:
    pause = following.start - one.end >= PAUSE_SECONDS
    return pause or following.speaker != one.speaker or following.language != one.language


def _too_long(line: Sequence[PlacedWord]) -> bool:
    if len(line) < 2:
        return False
    return line[-1].end - line[0].start > LONGEST_SECONDS or sum(len(word.text) for word in line) > LONGEST_CHARACTERS


def _best_cut(line: Sequence[PlacedWord]) -> int:
    """Where to start the next line: 1 to len - 1."""
    half = len(line) // 2
    clauses = [i for i in range(max(half, 1), len(line)) if _ends(line[i - 1], _CLAUSE_ENDS)]
    if clauses:
        return clauses[-1]
    return max(range(max(half, 1), len(line)), key=lambda i: (line[i].start - line[i - 1].end, i))


def _ends(word: PlacedWord, marks: str) -> bool:
    return word.text.rstrip().rstrip(_CLOSING).endswith(tuple(marks))
