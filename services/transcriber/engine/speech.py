"""Where somebody speaks: the silero detector that faster-whisper carries, run window by window.

A window bounds the detector's memory (it copies its input) and lets a long recording show progress. Speech that touches the end of a
window is not cut there: the next window starts where that speech began, or with the padding that speech at its very start would have.
"""

from collections.abc import Callable
from typing import NamedTuple

from faster_whisper.vad import VadOptions, get_speech_timestamps

from services.transcriber.engine.heard import Span
from services.transcriber.engine.media import SAMPLE_RATE, Audio, Samples, waveform

CHUNK_SECONDS = 30
"""What Whisper hears at once; no stretch of speech is longer."""

WINDOW_SECONDS = 600.0

_THRESHOLD = 0.5
_MIN_SILENCE = 0.16
_PADDING = 0.2


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
    tape, pieces = audio.tape, range(0, int(audio.seconds) + 1, CHUNK_SECONDS)
    starts = [number * tape.stride for number in range(len(tape.channels))] if tape is not None else [0.0]
    return [
        Span(start + piece, start + min(piece + CHUNK_SECONDS, audio.seconds))
        for start in starts
        for piece in pieces
        if piece < audio.seconds
    ]


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)
