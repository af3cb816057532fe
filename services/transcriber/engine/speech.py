"""Where somebody speaks: the silero detector that faster-whisper carries, run window by window.

A window bounds the detector's memory (it copies its input) and lets a long recording show progress. Speech that touches the end of a
window is not cut there: the next window starts where that speech began, or with the padding that speech at its very start would have.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from faster_whisper.vad import VadOptions, get_speech_timestamps

from services.transcriber.engine.heard import Span
from services.transcriber.engine.media import SAMPLE_RATE, Audio, Samples, waveform

CHUNK_SECONDS = 30
"""What Whisper hears at once; no stretch of speech is longer."""

WINDOW_SECONDS = 600.0

_THRESHOLD = 0.5
_MIN_SILENCE = 0.16
_PADDING = 0.2

_FRAME = SAMPLE_RATE // 20
_LOOK_BACK = 5.0
"""Seconds in which a pause is looked for before a piece is full."""


class Tuning(NamedTuple):
    """The probability that counts as speech; silences shorter than `min_silence` seconds, and `padding` at either end, belong to speech."""

    threshold: float | None = None
    min_silence: float | None = None
    padding: float | None = None


_USUAL = Tuning()


def find_speech(
    samples: Samples, on_progress: Callable[[float], None], tuning: Tuning = _USUAL, *, window: float = WINDOW_SECONDS
) -> list[Span]:
    """Stretches of speech in order; `on_progress` gets fractions of 1."""
    padding = _PADDING if tuning.padding is None else tuning.padding
    options = VadOptions(
        threshold=_THRESHOLD if tuning.threshold is None else tuning.threshold,
        min_silence_duration_ms=_milliseconds(_MIN_SILENCE if tuning.min_silence is None else tuning.min_silence),
        max_speech_duration_s=CHUNK_SECONDS,
        speech_pad_ms=_milliseconds(padding),
    )
    found: list[Span] = []
    start, total = 0, len(samples)
    while start < total:
        end = min(start + int(window * SAMPLE_RATE), total)
        spans = [(start + s["start"], start + s["end"]) for s in get_speech_timestamps(waveform(samples[start:end]), options)]
        following = end
        if end < total:
            if spans and spans[-1][1] >= end and spans[-1][0] > start:
                following = spans.pop()[0]
            else:
                following = max(end - int(padding * SAMPLE_RATE), spans[-1][1] if spans else start)
        found += [Span(s / SAMPLE_RATE, e / SAMPLE_RATE) for s, e in spans]
        start = following
        on_progress(start / total)
    return found


def whole(audio: Audio) -> list[Span]:
    """All of the recording as if it were speech, in pieces that Whisper can hear; of a tape, the channels and not the silence between."""
    tape = audio.tape
    starts = [number * tape.stride for number in range(len(tape.channels))] if tape is not None else [0.0]
    return [piece for start in starts for piece in _pieces(audio.samples, start, start + audio.seconds)]


def quietest(samples: Samples, start: float, end: float) -> float:
    """The middle of the quietest twentieth of a second between two times."""
    first = int(start * SAMPLE_RATE)
    stretch = samples[first : int(end * SAMPLE_RATE)]
    count = len(stretch) // _FRAME
    if count == 0:
        return (start + end) / 2
    power = np.square(stretch[: count * _FRAME].reshape(count, _FRAME), dtype=np.float32).mean(axis=1)
    return (first + (int(power.argmin()) + 0.5) * _FRAME) / SAMPLE_RATE


def _pieces(samples: Samples, start: float, end: float) -> Iterator[Span]:
    """Cut where it is quiet, as nobody knows where somebody speaks."""
    while end - start > CHUNK_SECONDS:
        cut = quietest(samples, start + CHUNK_SECONDS - _LOOK_BACK, start + CHUNK_SECONDS)
        yield Span(start, cut)
        start = cut
    yield Span(start, end)


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)
