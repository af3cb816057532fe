"""What the server says, as words in chunks.

Servers differ in what they time: words (which OpenAI sends without their punctuation), segments, or nothing. The text is what counts: it is
written word by word, and each word takes its times from what the server timed of it. Where one has none, its chunk has none, and the
words share the chunk's speech.
"""

import re
from collections.abc import Sequence
from math import exp
from typing import NamedTuple

import msgspec

from common.jobs.languages import CODES, LANGUAGES
from services.transcriber.engine import guards
from services.transcriber.engine.heard import Chunk, HeardWord, Span
from services.transcriber.engine.remote.parts import Part

LONGEST_CHUNK = 30.0
"""Seconds, where the server has no segments."""

_REACH = 60
"""Characters after a word in which the next one is looked for."""

_UNSPACED = frozenset(("zh", "yue", "ja", "th", "lo", "my", "km"))
_SPACED_WORD = re.compile(r"\s*\S+")
_UNSPACED_WORD = re.compile(r"\s*(?:[A-Za-z0-9]+|\w)?[^\w\s]*")


class TimedWord(msgspec.Struct, frozen=True):
    """Seconds from the start of the upload. `probability` is what servers built on faster-whisper add."""

    word: str
    start: float
    end: float
    probability: float | None = None


class TimedSegment(msgspec.Struct, frozen=True):
    """The same; `words` as some servers have them, beside or instead of the answer's own."""

    start: float
    end: float
    text: str
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    words: tuple[TimedWord, ...] | None = None


class Token(msgspec.Struct, frozen=True):
    logprob: float


class Answer(msgspec.Struct, frozen=True):
    """The fields that are used of OpenAI's `json` and `verbose_json` formats; all but `text` may be missing or null."""

    text: str
    language: str | None = None
    words: tuple[TimedWord, ...] | None = None
    segments: tuple[TimedSegment, ...] | None = None
    logprobs: tuple[Token, ...] | None = None

    @property
    def timed(self) -> bool:
        return bool(self.words or self.segments)


decode = msgspec.json.Decoder(Answer).decode


def code(language: str | None) -> str | None:
    """The ISO code of a language that a server names by it (`en`, `en-US`) or in English; None when nobody knows it."""
    name = (language or "").strip().lower()
    short = name.partition("-")[0]
    return short if short in LANGUAGES else CODES.get(name)


class Said(NamedTuple):
    """Words, and whether the server itself doubts that anybody said them."""

    chunk: Chunk
    doubted: bool


def said(answer: Answer, part: Part, language: str) -> list[Said]:
    """What was heard in `part`, in order, without overlap and inside it, whatever the server says. A score of 0 says that it gave none."""
    if answer.segments:
        stretches = [_segment(segment, answer, language) for segment in answer.segments]
    else:
        words = _written(answer.text, answer.words or (), _score(answer), language)
        untimed = any(word.start is None for word in words)
        stretches = [_Stretch(Span(0.0, part.span.end - part.span.start), words)] if untimed else _stretches(words)
    found: list[Said] = []
    earliest = part.span.start
    for span, words, doubted in stretches:
        if words:
            start = min(max(earliest, part.span.start + span.start), part.span.end)
            earliest = min(max(start, part.span.start + span.end), part.span.end)
            found.append(Said(_chunk(Span(start, earliest), part, words, language), doubted))
    return found


class _Stretch(NamedTuple):
    """Here, times are from the start of the upload."""

    span: Span
    words: list[HeardWord]
    doubted: bool = False


def _segment(segment: TimedSegment, answer: Answer, language: str) -> _Stretch:
    timed = segment.words or [word for word in answer.words or () if segment.start <= (word.start + word.end) / 2 < segment.end]
    score = exp(min(0.0, segment.avg_logprob)) if segment.avg_logprob is not None else _score(answer)
    doubted = segment.avg_logprob is not None and guards.unspoken(segment.no_speech_prob or 0.0, score)
    return _Stretch(Span(segment.start, segment.end), _written(segment.text, timed, score, language), doubted)


def _written(text: str, timed: Sequence[TimedWord], score: float, language: str) -> list[HeardWord]:
    """The words of `text`; without spaces between words each character is one, together with the marks after it."""
    spaced = language not in _UNSPACED
    text = " " + text.strip() if spaced else text.strip()
    places = _places(text, timed)
    words: list[HeardWord] = []
    for match in (_SPACED_WORD if spaced else _UNSPACED_WORD).finditer(text):
        if not match.group().strip():
            continue
        mine = [word for begin, end, word in places if begin < match.end() and end > match.start()]
        given = [word.probability for word in mine if word.probability is not None]
        if mine:
            start, end = min(word.start for word in mine), max(word.end for word in mine)
            words.append(HeardWord(match.group(), min(given, default=score), start, end))
        elif words and not re.search(r"\w", match.group()):  # a dash or a mark that stands alone
            words[-1] = msgspec.structs.replace(words[-1], text=words[-1].text + match.group())
        else:
            words.append(HeardWord(match.group(), score))
    return words


def _places(text: str, timed: Sequence[TimedWord]) -> list[tuple[int, int, TimedWord]]:
    """Where in the text the server's words are, in order; some may not be found."""
    places: list[tuple[int, int, TimedWord]] = []
    cursor = 0
    for word in timed:
        bare = re.sub(r"^\W+|\W+$", "", word.word)
        match = re.compile(re.escape(bare), re.IGNORECASE).search(text, cursor, cursor + len(bare) + _REACH) if bare else None
        if match is not None:
            places.append((match.start(), match.end(), word))
            cursor = match.end()
    return places


def _stretches(words: Sequence[HeardWord]) -> list[_Stretch]:
    """Timed words in stretches of at most `LONGEST_CHUNK`."""
    stretches: list[_Stretch] = []
    for word in words:
        start, end = word.start or 0.0, word.end or 0.0
        if stretches and end - stretches[-1][0].start <= LONGEST_CHUNK:
            span, taken, _ = stretches.pop()
            stretches.append(_Stretch(Span(span.start, max(span.end, end)), [*taken, word]))
        else:
            stretches.append(_Stretch(Span(start, end), [word]))
    return stretches


def _chunk(span: Span, part: Part, words: Sequence[HeardWord], language: str) -> Chunk:
    """With words' times from its own start, or without any where one is missing."""
    offset = span.start - part.span.start
    if any(word.start is None or word.end is None for word in words):
        placed = [HeardWord(word.text, word.score) for word in words]
    else:
        placed = [HeardWord(word.text, word.score, (word.start or 0.0) - offset, (word.end or 0.0) - offset) for word in words]
    speech = tuple(
        Span(max(each.start, span.start), min(each.end, span.end))
        for each in part.speech
        if each.start < span.end and each.end > span.start
    )
    return Chunk(span, speech, tuple(placed), language)


def _score(answer: Answer) -> float:
    """The geometric mean of the tokens' probabilities, where the server tells them."""
    if not answer.logprobs:
        return 0.0
    return exp(min(0.0, sum(token.logprob for token in answer.logprobs) / len(answer.logprobs)))
