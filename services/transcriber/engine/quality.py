"""How far a transcript can be trusted, and which stretches of the recording somebody should listen to again.

All of it follows from what is there anyway: samples, where the detector found speech, and how sure the recogniser was of each word. Samples
are looked at a minute at a time. Where channels were transcribed apart, their tape's times become the recording's.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby, pairwise

import numpy as np

from common.transcript import Doubt, Quality, Segment, Word
from services.transcriber.engine.heard import Span
from services.transcriber.engine.media import SAMPLE_RATE, Audio, Samples, Tape
from services.transcriber.engine.repetition import looping

UNSURE = 0.5
"""The score below which a word is doubtful, and a segment's confidence below which all of it is."""

UNSURE_WORDS, UNSURE_SECONDS = 3, 1.5
"""Doubtful words in a row, or their time together, that are worth listening to."""

UNHEARD_SECONDS = 3.0
"""Of speech without a single word."""

FULL_SCALE = 32_112
"""98 % of what 16 bits hold; three samples in a row that reach it are clipped."""

REPEATS = 3
"""Lines in a row that say the same."""

MOST_DOUBTS = 500

_PIECE = 60 * SAMPLE_RATE
_FRAME = SAMPLE_RATE // 10
_LEAST_REPEATED = 10
_GAP = 1.0
"""Seconds between two doubts for one reason that make one of them."""


def assess(
    audio: Audio, speech: Sequence[Span] | None, segments: Sequence[Segment], language: str, foreign: Sequence[Span] = ()
) -> Quality:
    """The report on segments of a recording in `language`, which parts of it that are `foreign` do not sound like.

    These and `speech` are in the times of the samples; None when nobody looked for it.
    """
    spoken = [Span(each.start, each.end) for each in segments] if speech is None else in_recording(speech, audio.tape)
    clipped = clipped_stretches(audio.samples)
    doubts = [
        *(Doubt(span.start, span.end, "clipped") for span in _spoken(in_recording(clipped, audio.tape), segments)),
        *(Doubt(span.start, span.end, "unheard") for span in unheard(speech or (), segments, audio.tape)),
        *(Doubt(span.start, span.end, "other_language") for span in in_recording(foreign, audio.tape)),
        *(doubt for segment in segments for doubt in _doubts(segment, language)),
        *_repeated(segments),
    ]
    seconds = len(audio.samples) / SAMPLE_RATE
    return Quality(
        speech_ratio=_ratio(_covered(spoken), audio.seconds),
        clipped_ratio=_ratio(sum(span.end - span.start for span in clipped), seconds),
        confidence=round(_confidence(segments), 4),
        languages=_languages(segments, language),
        needs_review=tuple(merged(doubts)[:MOST_DOUBTS]),
    )


def clipped_stretches(samples: Samples) -> list[Span]:
    """Tenths of a second in which the signal is cut off at the top or at the bottom, joined where they touch."""
    found: list[Span] = []
    for start in range(0, len(samples), _PIECE):
        piece = samples[start : start + _PIECE]
        cut = np.zeros(-(-len(piece) // _FRAME) * _FRAME, np.bool_)
        for full in (piece >= FULL_SCALE, piece <= -FULL_SCALE):
            if full.any():
                cut[2 : len(piece)] |= full[2:] & full[1:-1] & full[:-2]
        for frame in np.flatnonzero(cut.reshape(-1, _FRAME).any(axis=1)):
            begin = round(start / SAMPLE_RATE + float(frame) / 10, 1)
            if found and begin <= found[-1].end:
                found.append(Span(found.pop().start, round(begin + 0.1, 1)))
            else:
                found.append(Span(begin, round(begin + 0.1, 1)))
    return found


def in_recording(spans: Iterable[Span], tape: Tape | None) -> list[Span]:
    """Spans of samples in the recording's time, in order."""
    if tape is None:
        return list(spans)
    moved = [(span, span.start // tape.stride * tape.stride) for span in spans]
    return sorted((Span(span.start - offset, span.end - offset) for span, offset in moved), key=lambda span: span.start)


def unheard(speech: Sequence[Span], segments: Sequence[Segment], tape: Tape | None) -> Iterator[Span]:
    """What of the speech in the samples no line of its own channel covers, if it is long; in the recording's time."""
    if tape is None:
        yield from _uncovered(speech, segments)
        return
    for place, channel in enumerate(tape.channels):
        own = [span for span in speech if span.start // tape.stride == place]
        yield from _uncovered(in_recording(own, tape), [segment for segment in segments if segment.channel == channel])


def merged(doubts: Iterable[Doubt]) -> list[Doubt]:
    """In the order of their starts, those of one reason joined that meet or nearly do."""
    joined: list[Doubt] = []
    for _, same in groupby(sorted(doubts, key=lambda doubt: (doubt.reason, doubt.start)), key=lambda doubt: doubt.reason):
        for doubt in same:
            if joined and joined[-1].reason == doubt.reason and doubt.start <= joined[-1].end + _GAP:
                last = joined.pop()
                joined.append(Doubt(last.start, max(last.end, doubt.end), doubt.reason))
            else:
                joined.append(doubt)
    return sorted((Doubt(round(d.start, 3), round(d.end, 3), d.reason) for d in joined), key=lambda doubt: (doubt.start, doubt.reason))


def _doubts(segment: Segment, language: str) -> Iterator[Doubt]:
    if segment.confidence < UNSURE:
        yield Doubt(segment.start, segment.end, "low_confidence")
    else:
        for run in _unsure(segment.words):
            yield Doubt(run[0].start, run[-1].end, "low_confidence")
    if segment.overlap:
        yield Doubt(segment.start, segment.end, "overlap")
    if (segment.language or language) != language:
        yield Doubt(segment.start, segment.end, "other_language")
    if looping(segment.text, 0, segment.end - segment.start):
        yield Doubt(segment.start, segment.end, "repetition")


def _unsure(words: Sequence[Word]) -> Iterator[list[Word]]:
    for unsure, run in groupby(words, key=lambda word: word.score < UNSURE):
        found = list(run)
        if unsure and (len(found) >= UNSURE_WORDS or found[-1].end - found[0].start >= UNSURE_SECONDS):
            yield found


def _repeated(segments: Sequence[Segment]) -> Iterator[Doubt]:
    """The same line several times, by one channel: a recogniser that is stuck, or a machine that is."""
    for channel in dict.fromkeys(segment.channel for segment in segments):
        for text, run in groupby((each for each in segments if each.channel == channel), key=lambda each: each.text.casefold().strip()):
            found = list(run)
            if len(found) >= REPEATS and len(text) >= _LEAST_REPEATED:
                yield Doubt(found[0].start, found[-1].end, "repetition")


def _uncovered(speech: Sequence[Span], segments: Sequence[Segment]) -> Iterator[Span]:
    lines = sorted((segment.start, segment.end) for segment in segments)
    edges: list[tuple[float, float]] = [(0.0, 0.0)]
    for start, end in lines:
        edges.append((start, max(end, edges[-1][1])))
    edges.append((float("inf"), float("inf")))
    gaps = [(before[1], after[0]) for before, after in pairwise(edges) if after[0] - before[1] >= UNHEARD_SECONDS]
    for span in speech:
        first = bisect_right(gaps, span.start, key=lambda gap: gap[1])
        last = bisect_left(gaps, (span.end, 0.0))
        for start, end in gaps[first:last]:
            found = Span(max(span.start, start), min(span.end, end))
            if found.end - found.start >= UNHEARD_SECONDS:
                yield found


def _spoken(spans: Iterable[Span], segments: Sequence[Segment]) -> Iterator[Span]:
    """Those of the spans in which somebody speaks."""
    lines = sorted((segment.start, segment.end) for segment in segments)
    ends = list(accumulate((end for _, end in lines), max))
    for span in spans:
        before = bisect_left(lines, (span.end, 0.0))
        if before and ends[before - 1] > span.start:
            yield span


def _covered(spans: Iterable[Span]) -> float:
    """Seconds in at least one of them; they come in order."""
    total = reached = 0.0
    for span in spans:
        total += max(0.0, span.end - max(span.start, reached))
        reached = max(reached, span.end)
    return total


def _confidence(segments: Sequence[Segment]) -> float:
    """The segments' mean, each with its length in characters; 0 without any."""
    weights = [len(segment.text) for segment in segments]
    return sum(segment.confidence * weight for segment, weight in zip(segments, weights, strict=True)) / max(1, sum(weights))


def _languages(segments: Sequence[Segment], language: str) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for segment in segments:
        code = segment.language or language
        seconds[code] = seconds.get(code, 0.0) + segment.end - segment.start
    return {code: round(time, 3) for code, time in sorted(seconds.items(), key=lambda each: -each[1])}


def _ratio(part: float, whole: float) -> float:
    return round(min(1.0, part / whole), 4) if whole else 0.0
