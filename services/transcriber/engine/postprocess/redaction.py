"""What is not to be passed on, taken out of a transcript: labels for words, and the stretches of the recording in which they are said.

Numbers are looked for across lines and in each speaker's words alone, since people pause and are interrupted while they dictate. When all
is done the text is looked over again, and only one in which nothing more is found is given away.
"""

from collections.abc import Iterable, Iterator, Sequence
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

UNHEARD = "unheard"
KINDS: tuple[str, ...] = (*ORDER, UNHEARD)
_ROUNDS = 3


def with_unheard(redactions: Sequence[Redaction], spans: Iterable[Span]) -> list[Redaction]:
    """The stretches, and those of which nobody can say what is said there: what cannot be looked through is not passed on either."""
    return _merged([*redactions, *(Redaction(round(span.start, 3), round(span.end, 3), UNHEARD) for span in spans)])


class _Said(msgspec.Struct, frozen=True):
    """A word and where it stands."""

    segment: int
    index: int
    word: Word


def redact(segments: Sequence[Segment], kinds: Sequence[Sensitive], language: str) -> tuple[list[Segment], list[Redaction]]:
    """The segments, in `language` but where they say otherwise, without `kinds`. Raises `PermanentError` when that cannot be."""
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
                silences.append(_silence(stream.said, words, kind))
                for said in stream.said[words.start : words.stop]:
                    key = (said.segment, said.index)
                    marks[key] = min(marks.get(key, kind), kind, key=ORDER.index)
        if not marks:
            return list(segments), _merged(silences)
        segments = [passage.rewritten(_labels(passage, number, marks)) for number, passage in enumerate(passages)]
    raise PermanentError("redaction_failed", "Not all that should be redacted could be; nothing was kept.")


class _Stream(msgspec.Struct, frozen=True):
    """Words that follow each other, in one language."""

    said: tuple[_Said, ...]
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
        _Stream(tuple(word[3] for word in run), spoken) for thread in threads for spoken, run in groupby(thread, key=lambda word: word[2])
    ]


def _silence(said: Sequence[_Said], words: range, kind: Sensitive) -> Redaction:
    """When the words are said, generously: where a word's time was only estimated, from the last before it that was not to the next."""
    first, last = words.start, words.stop - 1
    while first > 0 and said[first].word.timing == "interpolated":
        first -= 1
    while last < len(said) - 1 and said[last].word.timing == "interpolated":
        last += 1
    start = said[first].word.start if first == words.start else said[first].word.end
    end = said[last].word.end if last == words.stop - 1 else said[last].word.start
    start, end = min(start, said[words.start].word.start), max(end, said[words.stop - 1].word.end)
    return Redaction(round(max(0.0, start - MARGIN), 3), round(end + MARGIN, 3), kind)


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
