"""Placing words in time: inside their chunk, in order, and around sound instead of silence.

Whisper's cross-attention is good to some 60 ms in running speech, but lets the words beside a pause swallow it. A word keeps only the
part of its time in which something can be heard. Words without times share their chunk's speech in proportion to their length.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from common.transcript import WordTiming
from numpy.typing import NDArray

from services.transcriber.engine.heard import Chunk, Span
from services.transcriber.engine.media import SAMPLE_RATE, Samples

_HOP = SAMPLE_RATE // 100
_AUDIBLE_SHARE = 0.35
_DEEPEST = 45.0
_PAUSE_FRAMES = 20


class PlacedWord(msgspec.Struct, frozen=True):
    """A word with times from the start of the recording; `text` keeps its leading space."""

    text: str
    start: float
    end: float
    score: float
    timing: WordTiming


def place(chunk: Chunk, samples: Samples) -> list[PlacedWord]:
    """The chunk's words, in order, without overlap, each inside the chunk; `samples` is the whole recording."""
    if any(word.start is None or word.end is None for word in chunk.words):
        return spread(chunk)
    start, end = (int(edge * SAMPLE_RATE) for edge in (chunk.span.start, chunk.span.end))
    sound = audible(samples[start:end])
    times = [trim(word.start or 0.0, word.end or 0.0, sound) for word in chunk.words]
    times = in_order([(chunk.span.start + a, chunk.span.start + b) for a, b in times], chunk.span)
    return [PlacedWord(word.text, a, b, word.score, "asr") for word, (a, b) in zip(chunk.words, times, strict=True)]


def spread(chunk: Chunk) -> list[PlacedWord]:
    """Times by interpolation: each word gets a share of the chunk's speech (pauses left out) by its number of characters."""
    speech = chunk.speech or (chunk.span,)
    lengths = np.array([len(word.text.strip()) or 1 for word in chunk.words], dtype=float)
    spoken = np.concatenate(([0.0], np.cumsum([span.end - span.start for span in speech])))
    marks = np.concatenate(([0.0], np.cumsum(lengths))) / max(lengths.sum(), 1.0) * spoken[-1]
    starts = [_on_clock(mark, spoken, speech, "right") for mark in marks[:-1]]
    ends = [_on_clock(mark, spoken, speech, "left") for mark in marks[1:]]
    times = in_order(list(zip(starts, ends, strict=True)), chunk.span)
    return [PlacedWord(word.text, a, b, word.score, "interpolated") for word, (a, b) in zip(chunk.words, times, strict=True)]


def audible(samples: Samples) -> NDArray[np.bool_]:
    """For each 10 ms: can something be heard? The threshold lies between the recording's quiet and its loud parts."""
    count = len(samples) // _HOP
    if count == 0:
        return np.zeros(0, dtype=np.bool_)
    power = (samples[: count * _HOP].reshape(count, _HOP) ** 2).mean(axis=1)
    level = 10 * np.log10(np.convolve(np.pad(power, 1, "edge"), np.full(3, 1 / 3), "valid") + 1e-12)
    quiet, loud = np.percentile(level, (5, 95))
    return np.asarray(level > max(quiet + _AUDIBLE_SHARE * (loud - quiet), loud - _DEEPEST))


def trim(start: float, end: float, sound: NDArray[np.bool_]) -> tuple[float, float]:
    """The longest stretch of sound in `start`-`end` (shorter gaps, as before a plosive, belong to it); unchanged when all is quiet."""
    first, last = int(round(start * 100)), int(round(end * 100))
    heard = np.flatnonzero(sound[first:last]) + first
    if len(heard) == 0:
        return start, end
    stretches = np.split(heard, np.flatnonzero(np.diff(heard) > _PAUSE_FRAMES) + 1)
    longest = max(stretches, key=len)
    return max(start, longest[0] / 100), min(end, (longest[-1] + 1) / 100)


def in_order(times: Sequence[tuple[float, float]], bounds: Span) -> list[tuple[float, float]]:
    """Clip to `bounds` and to each other: every start is at or after the previous end; milliseconds."""
    ordered, earliest = [], bounds.start
    for start, end in times:
        start = min(max(start, earliest), bounds.end)
        earliest = min(max(end, start), bounds.end)
        ordered.append((round(float(start), 3), round(float(earliest), 3)))
    return ordered


def _on_clock(mark: float, spoken: NDArray[np.float64], speech: Sequence[Span], side: str) -> float:
    """From seconds of speech to seconds of recording; at a boundary the `side` decides between one span's end and the next one's start."""
    index = int(np.searchsorted(spoken, mark, side="right" if side == "right" else "left")) - 1
    index = min(max(index, 0), len(speech) - 1)
    return speech[index].start + mark - float(spoken[index])
