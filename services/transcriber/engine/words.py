"""Placing words in time: inside their chunk, in order, and around sound instead of silence.

No aligner's times are taken as they are. Whisper's cross-attention lets the words beside a pause swallow it; a forced aligner hears a word
only when its first sound is fully there; and both stop early at the end of a turn. So a word keeps only the part of its time in which
something can be heard, begins where the sound begins if that is near, and rings out while sound goes on before the next word. Words
that the aligner does not know share the gap between their neighbours; where there are no times at all, words share their chunk's speech.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from common.transcript import WordTiming
from services.transcriber.engine.heard import Chunk, Span
from services.transcriber.engine.media import SAMPLE_RATE, Samples, Waveform, waveform

SHORTEST = 0.02
"""Seconds; the resolution of Whisper's own times."""

RING_OUT = 0.2
"""Seconds by which a word's end may move."""

RING_IN = 0.06
"""Seconds by which a forced aligner's start may move back to where the sound begins."""

_FRAME = SAMPLE_RATE // 100
_FRAMES_PER_SECOND = 100
_PAUSE_FRAMES = 15
"""Longer than the closure before a plosive."""

_SHORTEST_SOUND = 8
"""Frames; less is a click or a breath."""

Times = list[tuple[float, float]]
Sound = NDArray[np.bool_]


class PlacedWord(msgspec.Struct, frozen=True):
    """A word with times from the start of the recording; `text` keeps its leading space. `overlap`: somebody else speaks as well."""

    text: str
    start: float
    end: float
    score: float
    timing: WordTiming
    language: str
    speaker: str | None = None
    overlap: bool = False


def place(chunk: Chunk, samples: Samples, aligned: Sequence[tuple[float, float] | None] = ()) -> list[PlacedWord]:
    """The chunk's words, in order, without overlap, each inside the chunk; `samples` is the whole recording.

    `aligned` are times from the start of the chunk, one for each word; when there is none among them, attention's are used.
    """
    attended = [(word.start, word.end) for word in chunk.words if word.start is not None and word.end is not None]
    if any(aligned):
        sound = _sound(chunk, samples)
        filled = [trim(start, end, sound) for start, end in fill(aligned, [len(word.text) for word in chunk.words], chunk)]
        times = ring_out(ring_in(filled, sound), sound)
        timings: list[WordTiming] = ["aligned" if each else "interpolated" for each in aligned]
    elif len(attended) == len(chunk.words):
        sound = _sound(chunk, samples)
        times = ring_out([trim(start, end, sound) for start, end in attended], sound)
        timings = ["asr"] * len(times)
    else:
        times, timings = spread(chunk), ["interpolated"] * len(chunk.words)
    return _placed(chunk, in_order(times, Span(0.0, chunk.span.end - chunk.span.start)), timings)


def fill(aligned: Sequence[tuple[float, float] | None], lengths: Sequence[int], chunk: Chunk) -> Times:
    """Words between two aligned ones share the time between these by their `lengths`."""
    times: Times = []
    for index, each in enumerate(aligned):
        if each is None:
            following = next((place for place in range(index, len(aligned)) if aligned[place]), len(aligned))
            after = aligned[following] if following < len(aligned) else None
            limit = after[0] if after else chunk.span.end - chunk.span.start
            begin = times[-1][1] if times else 0.0
            share = lengths[index] / max(1, sum(lengths[index:following]))
            times.append((begin, begin + max(0.0, limit - begin) * share))
        else:
            times.append(each)
    return times


def spread(chunk: Chunk) -> Times:
    """Times by interpolation: each word gets a share of the chunk's speech (pauses left out) by its number of characters."""
    speech = chunk.speech or (chunk.span,)
    edges = np.cumsum([0.0, *(span.end - span.start for span in speech)])
    marks = np.cumsum([0.0, *(len(word.text.strip()) or 1 for word in chunk.words)])
    marks *= edges[-1] / max(marks[-1], 1.0)

    def clock(mark: float, span: int) -> float:
        span = min(max(span, 0), len(speech) - 1)
        return speech[span].start - chunk.span.start + float(mark - edges[span])

    starts = (clock(mark, int(np.searchsorted(edges, mark, "right")) - 1) for mark in marks[:-1])
    ends = (clock(mark, int(np.searchsorted(edges, mark, "left")) - 1) for mark in marks[1:])
    return list(zip(starts, ends, strict=True))


def audible(stretch: Waveform) -> Sound:
    """For each 10 ms: can something be heard? The threshold lies between the quiet and the loud parts, 45 dB below these at most."""
    count = len(stretch) // _FRAME
    if count == 0:
        return np.zeros(0, dtype=np.bool_)
    power = np.square(stretch[: count * _FRAME]).reshape(count, _FRAME).mean(axis=1)
    level = 10 * np.log10(np.convolve(np.pad(power, 1, "edge"), np.full(3, 1 / 3), "valid") + 1e-12)
    quiet, loud = np.percentile(level, (5, 95))
    return np.asarray(level > max(quiet + 0.35 * (loud - quiet), loud - 45))


def trim(start: float, end: float, sound: Sound) -> tuple[float, float]:
    """The last stretch of sound in `start`-`end`, shorter gaps included; unchanged when all is quiet.

    Not the longest: attention begins a word where the one before ended, or earlier, so what lies before a pause is that word's tail.
    """
    first, last = round(start * _FRAMES_PER_SECOND), round(end * _FRAMES_PER_SECOND)
    heard = np.flatnonzero(sound[first:last]) + first
    if len(heard) == 0:
        return start, end
    stretches = np.split(heard, np.flatnonzero(np.diff(heard) > _PAUSE_FRAMES) + 1)
    own = next((each for each in reversed(stretches) if len(each) >= _SHORTEST_SOUND), max(stretches, key=len))
    return max(start, own[0] / _FRAMES_PER_SECOND), min(end, (own[-1] + 1) / _FRAMES_PER_SECOND)


def ring_in(times: Times, sound: Sound) -> Times:
    """Move each start back to where the sound begins if that is within `RING_IN`; never into the word before."""
    moved: Times = []
    for index, (start, end) in enumerate(times):
        free = min(start, times[index - 1][1]) if index else 0.0
        first, last = round(max(start - RING_IN, free) * _FRAMES_PER_SECOND), round(start * _FRAMES_PER_SECOND)
        silent = np.flatnonzero(~sound[first:last])
        onset = (first + int(silent[-1]) + 1) / _FRAMES_PER_SECOND if len(silent) else start
        moved.append((min(start, onset), end))
    return moved


def ring_out(times: Times, sound: Sound) -> Times:
    """Move each end on while sound goes on, up to the next word's start and by `RING_OUT` at most."""
    moved: Times = []
    for index, (start, end) in enumerate(times):
        limit = times[index + 1][0] if index + 1 < len(times) else len(sound) / _FRAMES_PER_SECOND
        first, last = round(end * _FRAMES_PER_SECOND), round(min(limit, end + RING_OUT) * _FRAMES_PER_SECOND)
        silent = np.flatnonzero(~sound[first:last])
        frames = int(silent[0]) if len(silent) else max(0, last - first)
        moved.append((start, end + frames / _FRAMES_PER_SECOND))
    return moved


def in_order(times: Times, bounds: Span) -> Times:
    """Inside `bounds`, none before the previous one's end, none shorter than `SHORTEST` (or an even share, where the bounds are tight)."""
    shortest = min(SHORTEST, (bounds.end - bounds.start) / max(1, len(times)))
    ordered: Times = []
    latest = bounds.start
    for start, end in times:
        begin = max(start, latest)
        latest = max(end, begin + shortest)
        ordered.append((begin, latest))
    latest = bounds.end
    for index in reversed(range(len(ordered))):
        begin, end = ordered[index]
        end = min(end, latest)
        latest = min(begin, end - shortest)
        ordered[index] = (round(float(latest), 3), round(float(end), 3))
    return ordered


def _sound(chunk: Chunk, samples: Samples) -> Sound:
    return audible(waveform(samples[int(chunk.span.start * SAMPLE_RATE) : int(chunk.span.end * SAMPLE_RATE)]))


def _placed(chunk: Chunk, times: Times, timings: Sequence[WordTiming]) -> list[PlacedWord]:
    """`times` are in order, from the start of the chunk."""
    offset = chunk.span.start
    return [
        PlacedWord(word.text, round(offset + start, 3), round(offset + end, 3), word.score, timing, chunk.language)
        for word, (start, end), timing in zip(chunk.words, times, timings, strict=True)
    ]
