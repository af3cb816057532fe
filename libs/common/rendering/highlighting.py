"""Cues whose spoken word is underlined: one for each word, with the whole text, as Whisper's own writers make them."""

from collections.abc import Iterator
from itertools import groupby

import msgspec

from common.rendering.cues import Cue


class Shown(msgspec.Struct, frozen=True):
    """A cue from `start` to `end` (milliseconds), with the number of the word that is underlined, if one is."""

    cue: Cue
    start: int
    end: int
    word: int | None = None


def shown(cue: Cue, *, highlight_words: bool) -> Iterator[Shown]:
    """The cue as it is, or word by word: these follow each other without gap or overlap and end with the cue."""
    at = cue.start
    for word, start, end in _words(cue) if highlight_words else ():
        begin, until = max(at, min(start, cue.end)), min(end, cue.end)
        if until <= begin:
            continue
        if begin > at:
            yield Shown(cue, at, begin)
        yield Shown(cue, begin, until, word)
        at = until
    if at < cue.end:
        yield Shown(cue, at, cue.end)


def stretches(item: Shown) -> Iterator[list[tuple[str, bool]]]:
    """Each line as stretches of text and whether they are underlined; the space in front of a word is not."""
    for line in item.cue.lines:
        parts: list[tuple[str, bool]] = []
        for piece in line:
            bare = piece.text.lstrip(" ")
            parts += [(piece.text[: len(piece.text) - len(bare)], False), (bare, piece.word == item.word)]
        yield [("".join(text for text, _ in run), lit) for lit, run in groupby(filter(lambda part: part[0], parts), lambda part: part[1])]


def _words(cue: Cue) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each word; a label is none."""
    pieces = (piece for line in cue.lines for piece in line if piece.word >= 0)
    for word, run in groupby(pieces, lambda piece: piece.word):
        found = list(run)
        yield word, round(found[0].start * 1000), round(found[-1].end * 1000)
