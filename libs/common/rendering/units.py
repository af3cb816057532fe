"""What a line can be made of: the smallest stretches of text that are never divided, with the times at which they are spoken.

A line may break at spaces, and in Chinese and Japanese, which have none, between any two characters but before closing and after opening
punctuation. Text that would not fit a line even alone is divided where its words meet, and failing that between characters, which is
also how the scripts of South-East Asia, written without spaces, find their lines.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from unicodedata import east_asian_width

import msgspec
from wcwidth import iter_graphemes, width

from common.transcript import Segment

_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f\x85\u2028\u2029\ufffe\uffff\ud800-\udfff]")
_SPACES = re.compile(r"[^\S\u00a0\u202f]+")  # a no-break space is no place for a break
_TOKEN = re.compile("( ?)([^ ]+)")
_OPENING = frozenset("([{«‘“〈《「『【〔〖（［｛￥＄£$")  # noqa: RUF001 - every script's own marks
_CLOSING = frozenset(")]}»’”〉》」』】〕〗）］｝、。，．：；？！,.:;?!…‥・ー々〻ゝゞヽヾぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ％%")  # noqa: RUF001


class Piece(msgspec.Struct, frozen=True):
    """Text that belongs to one word, and its times in seconds; `word` tells words apart."""

    text: str
    start: float
    end: float
    word: int


class Unit(msgspec.Struct, frozen=True):
    """Pieces that stay together on a line; `space` if there is one in front."""

    pieces: tuple[Piece, ...]
    space: bool
    width: int

    @property
    def start(self) -> float:
        return self.pieces[0].start

    @property
    def end(self) -> float:
        return self.pieces[-1].end

    @property
    def last(self) -> str:
        """The text of the last piece."""
        return self.pieces[-1].text


def clean(text: str) -> str:
    """One line of text, its spaces single, without characters that no subtitle format can hold."""
    return _SPACES.sub(" ", _CONTROLS.sub("", text.replace("\u2028", " ").replace("\u2029", " "))).strip()


def units(segment: Segment, limit: int, *, number: int = 0) -> list[Unit]:
    """The segment's text, in order and whole, none wider than `limit` columns unless a single character is.

    Its words are numbered from `number`.
    """
    text = clean(segment.text)
    words = _located(segment, text)
    marks = [begin for begin, _, _ in words]
    found: list[Unit] = []
    for match in _TOKEN.finditer(text):
        space, token = bool(match[1]), match[2]
        offset = match.start(2)
        cuts = sorted({0, len(token), *(mark - offset for mark in marks if offset < mark < match.end(2))})
        pieces = [(offset + a, offset + b) for a, b in pairwise(cuts)]
        del marks[: sum(mark < match.end(2) for mark in marks)]
        for first, run in _runs(text, pieces):
            timed = tuple(_timed(text, begin, end, words, number) for begin, end in run)
            found.extend(_fitting(timed, limit, space=space and first))
    return found


def _located(segment: Segment, text: str) -> list[tuple[int, float, float]]:
    """Where in `text` each word begins, and its times; without words (or when they are not those of the text) the segment as one."""
    words: list[tuple[int, float, float]] = []
    position = 0
    for word in segment.words:
        written = clean(word.word)
        begin = text.find(written, position)
        if begin < 0:
            return [(0, segment.start, segment.end)]
        words.append((begin if words else 0, word.start, word.end))
        position = begin + len(written)
    return words or [(0, segment.start, segment.end)]


def _runs(text: str, pieces: Sequence[tuple[int, int]]) -> Iterator[tuple[bool, list[tuple[int, int]]]]:
    """Stretches without a place to break; the flag tells the first of the token."""
    run: list[tuple[int, int]] = []
    first = True
    for begin, end in pieces:
        for a, b in _divided(text, begin, end):
            if run and _may_break(text[a - 1], text[a]):
                yield first, run
                run, first = [], False
            run.append((a, b))
    yield first, run


def _divided(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    cuts = [begin, *(i for i in range(begin + 1, end) if _may_break(text[i - 1], text[i])), end]
    return pairwise(cuts)


def _may_break(before: str, after: str) -> bool:
    return (_is_ideograph(before) or _is_ideograph(after)) and before not in _OPENING and after not in _CLOSING and width(after) > 0


def _is_ideograph(character: str) -> bool:
    """Of a script without spaces; Korean is wide too, but has them."""
    return (
        east_asian_width(character) in "WF"
        and not "\uac00" <= character <= "\ud7a3"
        and not "\u1100" <= character <= "\u11ff"
        and (character < "\U0001f000" or character >= "\U00020000")
    )


def _timed(text: str, begin: int, end: int, words: Sequence[tuple[int, float, float]], number: int) -> Piece:
    """A stretch of one word; within a word, time passes evenly with the characters."""
    index = _word_at(words, begin)
    first, start, stop = words[index]
    last = words[index + 1][0] if index + 1 < len(words) else len(text)
    rate = (stop - start) / max(1, len(text[first:last].rstrip()))
    return Piece(text[begin:end], start + (begin - first) * rate, min(stop, start + (end - first) * rate), number + index)


def _word_at(words: Sequence[tuple[int, float, float]], position: int) -> int:
    low, high = 0, len(words)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if words[middle][0] <= position else (low, middle)
    return low


def _fitting(pieces: tuple[Piece, ...], limit: int, *, space: bool) -> Iterator[Unit]:
    """One unit; several, when they are too wide for a line."""
    whole = width("".join(piece.text for piece in pieces))
    if whole <= limit:
        yield Unit(pieces, space, whole)
        return
    for piece in pieces:
        for part in _chopped(piece, limit):
            yield Unit((part,), space, width(part.text))
            space = False


def _chopped(piece: Piece, limit: int) -> Iterator[Piece]:
    if width(piece.text) <= limit:
        yield piece
        return
    parts: list[str] = [""]
    for grapheme in iter_graphemes(piece.text):
        if parts[-1] and width(parts[-1] + grapheme) > limit:
            parts.append("")
        parts[-1] += grapheme
    rate = (piece.end - piece.start) / len(piece.text)
    for part, begin in zip(parts, accumulate((len(part) for part in parts), initial=0), strict=False):
        yield Piece(part, piece.start + begin * rate, piece.start + (begin + len(part)) * rate, piece.word)
