"""The transcript document: what the engine writes, storage keeps and every output format is rendered from.

Times are seconds from the start of the recording. Every word has a time and says how it got it (`timing`).
"""

from typing import Literal

import msgspec

WordTiming = Literal["aligned", "interpolated", "asr"]
"""How a word got its times: a forced aligner, between two aligned neighbours, or the recogniser's own attention."""


class Word(msgspec.Struct, frozen=True, omit_defaults=True):
    """One written word; `score` is a probability in [0, 1]."""

    word: str
    start: float
    end: float
    score: float
    timing: WordTiming
    speaker: str | None = None


class Segment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stretch of speech shown as one line; `confidence` is a probability in [0, 1]."""

    id: int
    start: float
    end: float
    text: str
    confidence: float
    words: tuple[Word, ...]
    speaker: str | None = None
    channel: int | None = None


class Speaker(msgspec.Struct, frozen=True):
    """Seconds of speech attributed to one speaker."""

    id: str
    seconds: float


class Language(msgspec.Struct, frozen=True):
    """ISO 639-1 code and the detector's probability (1.0 when the submitter named the language)."""

    code: str
    confidence: float


class Note(msgspec.Struct, frozen=True):
    """Something the reader should know: a stable code and a sentence."""

    code: str
    message: str


class Transcript(msgspec.Struct, frozen=True):
    """`duration` is the decoded audio's length; `timings` are wall seconds per engine stage."""

    text: str
    language: Language
    duration: float
    segments: tuple[Segment, ...]
    speakers: tuple[Speaker, ...]
    models: dict[str, str]
    timings: dict[str, float]
    degradations: tuple[Note, ...] = ()
    warnings: tuple[Note, ...] = ()


def encode(transcript: Transcript) -> bytes:
    """UTF-8 JSON."""
    return msgspec.json.encode(transcript)


def decode(data: bytes) -> Transcript:
    """Raises `msgspec.ValidationError` when `data` is not a transcript."""
    return msgspec.json.decode(data, type=Transcript)
