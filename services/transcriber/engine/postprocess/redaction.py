"""What is not to be passed on, taken out of a transcript: labels for words, and the stretches of the recording in which they are said.

Numbers are looked for across lines and in each speaker's words alone, since people pause and are interrupted while they dictate. When all
is done the text is looked over again, and only one in which nothing more is found is given away.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

import msgspec

from common.errors import PermanentError
from common.jobs.options import Sensitive
from common.transcript import Redaction, Segment, Word
from services.transcriber.engine.heard import Span
from services.transcriber.engine.postprocess.passage import Passage, Rewriting
from services.transcriber.engine.postprocess.sensitive import ORDER, find
from services.transcriber.engine.postprocess.spoken import LANGUAGES, MARKS

MARGIN = 0.25
"""Seconds before and after a word that are not heard either: words' times are off by some 0.1 s."""

Heard = Mapping[int | None, Sequence[Span]]
"""For each channel the stretches, in order, each of which was heard by itself: a word is somewhere in its own, however it was timed."""

UNHEARD = "unheard"
KINDS: tuple[str, ...] = (*ORDER, UNHEARD)
_ROUNDS = 3
_INSTANT = 0.001
"""What words' times are rounded to."""


def with_unheard(redactions: Sequence[Redaction], spans: Iterable[Span]) -> list[Redaction]:
    """The stretches, and those of which nobody can say what is said there: what cannot be looked through is not passed on either."""
    return _merged([*redactions, *(Redaction(round(span.start, 3), round(span.end, 3), UNHEARD) for span in spans)])


class _Said(msgspec.Struct, frozen=True):
    """A word and where it stands."""

    segment: int
    index: int
    word: Word


def redact(
    segments: Sequence[Segment], kinds: Sequence[Sensitive], language: str, heard: Heard | None = None
) -> tuple[list[Segment], list[Redaction]]:
    """The segments, in `language` but where they say otherwise, without `kinds`. Raises `PermanentError` when that cannot be.

    Where it is not told what was `heard` by itself, a word without a time of its own may be anywhere between those that have one.
    """
    spoken = {segment.language or language for segment in segments}
    if strange := sorted(spoken - LANGUAGES):
        raise PermanentError(
            "redaction_failed",
            f"Redaction understands {', '.join(sorted(LANGUAGES))}, not {', '.join(strange)}, which is spoken here; nothing was kept.",
        )
    silences: list[Redaction] = []
    for _ in range(_ROUNDS):
        passages = [Passage(segment) for segment in segments]
        marks: dict[tuple[int, int], Sensitive] = {}
        for stream in _streams(passages, language):
            for words, kind in stream.found(kinds):
                stretches = (heard or {}).get(stream.channel, ())
                silences.append(_silence(stream.said, words, kind, stretches))
                for said in stream.said[words.start : words.stop]:
                    key = (said.segment, said.index)
                    marks[key] = min(marks.get(key, kind), kind, key=ORDER.index)
        if not marks:
            return list(segments), _merged(silences)
        segments = [passage.rewritten(_labels(passage, number, marks)) for number, passage in enumerate(passages)]
    raise PermanentError("redaction_failed", "Not all that should be redacted could be; nothing was kept.")


class _Stream(msgspec.Struct, frozen=True):
    """Words that follow each other on a channel, in one language."""

    said: tuple[_Said, ...]
    channel: int | None
    language: str

    def found(self, kinds: Sequence[Sensitive]) -> Iterator[tuple[range, Sensitive]]:
        for finding in find([said.word.word for said in self.said], self.language, kinds):
            yield finding.words, finding.kind


def _streams(passages: Sequence[Passage], language: str) -> list[_Stream]:
    """What is said on each channel, and what each speaker says there."""
    words = [
        (passage.segment.channel, said.word.speaker or passage.segment.speaker, passage.segment.language or language, said)
        for number, passage in enumerate(passages)
        for said in (_Said(number, index, word) for index, word in enumerate(passage.words))
    ]
    threads = [[word for word in words if word[0] == channel] for channel in dict.fromkeys(word[0] for word in words)]
    for thread in list(threads):
        speakers = dict.fromkeys(word[1] for word in thread)
        threads += [[word for word in thread if word[1] == speaker] for speaker in speakers if len(speakers) > 1]
    return [
        _Stream(tuple(word[3] for word in run), channel, spoken)
        for thread in threads
        for (channel, spoken), run in groupby(thread, key=lambda word: (word[0], word[2]))
    ]


def _silence(said: Sequence[_Said], words: range, kind: Sensitive, stretches: Sequence[Span]) -> Redaction:
    """When the words are said, generously."""
    start, end = _earliest(said, words.start, stretches), _latest(said, words.stop - 1, stretches)
    return Redaction(round(max(0.0, start - MARGIN), 3), round(end + MARGIN, 3), kind)


def _earliest(said: Sequence[_Said], index: int, stretches: Sequence[Span]) -> float:
    """Where a word's time was only estimated: the end of the last before it that was not, or the start of the stretch it was heard in."""
    word = said[index].word
    if not _estimated(said[index]):
        return word.start
    while index > 0 and said[index].word.original == "":  # estimated within what it was written for
        index -= 1
    limit = _stretch(said, said[index].word.start + _INSTANT, stretches).start
    certain = next((said[before].word.end for before in reversed(range(index)) if not _estimated(said[before])), limit)
    return min(word.start, max(limit, certain))


def _latest(said: Sequence[_Said], index: int, stretches: Sequence[Span]) -> float:
    """The same to the other side."""
    word = said[index].word
    if not _estimated(said[index]):
        return word.end
    while index < len(said) - 1 and said[index + 1].word.original == "":
        index += 1
    limit = _stretch(said, said[index].word.end - _INSTANT, stretches).end
    certain = next((said[after].word.start for after in range(index + 1, len(said)) if not _estimated(said[after])), limit)
    return max(word.end, min(limit, certain))


def _estimated(said: _Said) -> bool:
    return said.word.timing == "interpolated"


def _stretch(said: Sequence[_Said], time: float, stretches: Sequence[Span]) -> Span:
    """The one of them that `time` is in; all that is said, where they are not known."""
    place = bisect_right(stretches, time, key=lambda stretch: stretch.start)
    return stretches[place - 1] if place else Span(said[0].word.start, said[-1].word.end)


def _labels(passage: Passage, number: int, marks: dict[tuple[int, int], Sensitive]) -> Iterator[Rewriting]:
    kinds = [marks.get((number, index)) for index in range(len(passage.words))]
    for kind, run in groupby(range(len(kinds)), key=lambda index: kinds[index]):
        if kind is not None:
            indexes = list(run)
            start, end = passage.marks[indexes[0]][0], passage.marks[indexes[-1]][1]
            text = passage.text[start:end]
            leading, trailing = len(text) - len(text.lstrip(MARKS)), len(text) - len(text.rstrip(MARKS))
            yield Rewriting(start + leading, end - trailing, f"[{kind.upper()}]")


def _merged(silences: Iterable[Redaction]) -> list[Redaction]:
    """In order and apart."""
    merged: list[Redaction] = []
    for each in sorted(silences, key=lambda one: (one.start, one.end)):
        if merged and each.start <= merged[-1].end:
            last = merged.pop()
            kind = min(last.kind, each.kind, key=KINDS.index)
            merged.append(Redaction(last.start, max(last.end, each.end), kind))
        else:
            merged.append(each)
    return merged
