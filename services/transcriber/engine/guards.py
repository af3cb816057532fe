"""What Whisper wrote and nobody said: sentences over silence, and phrases that go round in circles.

Pure decisions. What was invented over silence is dropped, as there is nothing at that place which a reader could miss. A loop is collapsed
to its phrase, which somebody may well have said once; one whose turns have stretches of speech to themselves was said as often as it is
written. What goes is told with its times, so that it can be listened to.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from math import log

import numpy as np

from common.transcript import Note
from services.transcriber.engine.heard import HeardWord, Span
from services.transcriber.engine.media import Samples, Tape

NO_SPEECH = 0.6
"""Whisper's own threshold for its probability that nobody speaks, which counts only together with the next."""

UNSURE = -1.0
"""Whisper's own threshold for the mean logarithm of its tokens' probabilities."""

SILENCE_DB = -60.0
"""Below full scale. Where not one tenth of a second is louder, nothing can have been understood."""

LONGEST_PHRASE = 12
"""Words."""

_TIMES_BY_WORDS = {1: 8, 2: 5}
_TIMES = 4
_MOST_DIGITS = 20
"""One more than any card has: numbers are dictated digit by digit, and 1111 1111 may be all of one."""

APART = 0.75
"""Share of a loop's turns that must have a stretch of speech to themselves to have been said."""

_FRAME = 1_600
_FULL_SCALE = 32_768.0
_SPANS_TOLD = 10


def unspoken(no_speech: float, confidence: float) -> bool:
    """Whether Whisper itself doubts that its text was said; `confidence` is the geometric mean of the tokens' probabilities."""
    return no_speech > NO_SPEECH and log(max(confidence, 1e-9)) < UNSURE


def silent(samples: Samples) -> bool:
    """Whether nothing can be heard in it."""
    count = len(samples) // _FRAME
    if count == 0:
        return not samples.any()
    power = np.square(samples[: count * _FRAME].astype(np.float32)).reshape(count, _FRAME).mean(axis=1)
    return bool(power.max() < _FULL_SCALE**2 * 10 ** (SILENCE_DB / 10))


def collapsed(words: Sequence[HeardWord], speech: Sequence[Span]) -> list[HeardWord]:
    """The words without what is said over and over: four times in a row for a phrase, more for a word or two ("no, no, no" is said).

    `speech` are the stretches in which somebody speaks, in order and in seconds from the start of the chunk, as the words' times.
    """
    kept = list(words)
    said = [word.text.strip().strip(".,!?…").lower() for word in words]
    start = 0
    while start < len(kept):
        size, times = _loop(said, start)
        if times and _apart(kept[start + size - 1 : start + size * times : size], speech):
            start += size * times
            continue
        if times:
            del kept[start + size : start + size * times], said[start + size : start + size * times]
        start += 1
    return kept


def _loop(said: Sequence[str], start: int) -> tuple[int, int]:
    """The phrase that begins here and is repeated too often: its length in words and how often it is said; 0 times when there is none."""
    for size in range(1, min(LONGEST_PHRASE, (len(said) - start) // 2) + 1):
        phrase, times = said[start : start + size], 1
        while said[start + size * times : start + size * (times + 1)] == phrase:
            times += 1
        least = _MOST_DIGITS // size if all(map(str.isdigit, phrase)) else 0
        if times >= max(least, _TIMES_BY_WORDS.get(size, _TIMES)):
            return size, times
    return 0, 0


def _apart(last: Sequence[HeardWord], speech: Sequence[Span]) -> bool:
    """Whether the turns end, with their last words, in stretches of their own; attention crowds some of so many together."""
    stretches = {bisect_right(speech, word.end, key=lambda span: span.start) for word in last if word.end is not None}
    return len(stretches) >= APART * len(last)


def told(code: str, what: str, spans: Iterable[Span], tape: Tape | None) -> tuple[Note, ...]:
    """One note for all `spans`, or none for none; with a `tape`, its times are brought back to the recording's."""
    stride = tape.stride if tape is not None else float("inf")
    places = [f"{span.start % stride:.1f}-{span.start % stride + span.end - span.start:.1f}" for span in spans]
    if not places:
        return ()
    more = f" and {len(places) - _SPANS_TOLD} more places" if len(places) > _SPANS_TOLD else ""
    return (Note(code, f"{what} (seconds {', '.join(places[:_SPANS_TOLD])}{more})."),)
