"""Whole sentences, put together of lines and parted where one ends, whoever's script it is.

Lines are as long as people like to read; a sentence may be several of them. It never goes on past a pause, nor from one speaker, channel or
language to another.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from sentencex import get_sentence_boundaries

from common.transcript import Segment, Sentence
from services.transcriber.engine.lines import PAUSE_SECONDS
from services.transcriber.engine.postprocess.passage import Passage

_LONGEST = 600
"""Characters after which speech without any full stop is parted at the end of a line."""


def sentences(segments: Sequence[Segment], language: str) -> list[Sentence]:
    """All that is said, in order; `language` is that of segments that name none."""
    ordered = sorted(segments, key=lambda segment: (segment.start, segment.end))
    return [sentence for run in _runs(ordered) for sentence in _parted(run, run[0].language or language)]


def _runs(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    run: list[Segment] = []
    for segment in segments:
        if run and (_parts(run[-1], segment) or sum(len(each.text) for each in run) > _LONGEST):
            yield run
            run = []
        run.append(segment)
    if run:
        yield run


def _parts(one: Segment, following: Segment) -> bool:
    who = (one.speaker, one.channel, one.language) != (following.speaker, following.channel, following.language)
    return who or following.start - one.end >= PAUSE_SECONDS


def _parted(run: Sequence[Segment], language: str) -> Iterator[Sentence]:
    passages = [Passage(segment) for segment in run]
    offsets = accumulate((len(passage.text) + 1 for passage in passages), initial=0)
    words = [
        (offset + mark, word)
        for offset, passage in zip(offsets, passages, strict=False)
        for (mark, _), word in zip(passage.marks, passage.words, strict=True)
    ]
    for boundary in get_sentence_boundaries(language, " ".join(passage.text for passage in passages)):
        text = boundary["text"].strip()
        said = [word for place, word in words if boundary["start_index"] <= place < boundary["end_index"]]
        if text and said:
            yield Sentence(said[0].start, max(word.end for word in said), text)
