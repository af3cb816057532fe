"""The transcript document: what the engine writes, storage keeps and every output format is rendered from.

Times are seconds from the start of the recording. Every word has a time and says how it got it (`timing`).
"""

from typing import Literal

import msgspec

WordTiming = Literal["aligned", "interpolated", "asr"]
"""How a word got its times: a forced aligner, between two aligned neighbours, or the recogniser's own attention."""


class Word(msgspec.Struct, frozen=True, omit_defaults=True):
    """One written word; `score` is a probability in [0, 1]. `overlap`: another speaker talks at the same time.

    `original` is what was heard, where post-processing wrote something else.
    """

    word: str
    start: float
    end: float
    score: float
    timing: WordTiming
    speaker: str | None = None
    overlap: bool = False
    original: str | None = None


class Segment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stretch of speech shown as one line, of one speaker and one channel; `confidence` is a probability in [0, 1].

    `language` is told where it differs from the transcript's.
    """

    id: int
    start: float
    end: float
    text: str
    confidence: float
    words: tuple[Word, ...]
    speaker: str | None = None
    channel: int | None = None
    language: str | None = None
    overlap: bool = False


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


class Doubt(msgspec.Struct, frozen=True):
    """A stretch that somebody should listen to, and why."""

    start: float
    end: float
    reason: Literal["low_confidence", "unheard", "clipped", "repetition", "overlap", "other_language"]


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """How far the transcript can be trusted.

    Ratios are of the recording's length, `confidence` is the words' mean score, `languages` seconds of speech for each code.
    """

    speech_ratio: float
    clipped_ratio: float
    confidence: float
    languages: dict[str, float]
    needs_review: tuple[Doubt, ...]


class Redaction(msgspec.Struct, frozen=True):
    """A stretch in which something was said that is not to be passed on; it has a label in the text and a tone in the recording's copy."""

    start: float
    end: float
    kind: str


class Transcript(msgspec.Struct, frozen=True):
    """`duration` is the decoded audio's length; `timings` are wall seconds per engine stage.

    `original_text` is what was heard, where post-processing wrote something else and nothing had to be redacted.
    """

    text: str
    language: Language
    duration: float
    segments: tuple[Segment, ...]
    speakers: tuple[Speaker, ...]
    models: dict[str, str]
    timings: dict[str, float]
    degradations: tuple[Note, ...] = ()
    warnings: tuple[Note, ...] = ()
    quality: Quality | None = None
    original_text: str | None = None
    redactions: tuple[Redaction, ...] = ()


def encode(transcript: Transcript) -> bytes:
    """UTF-8 JSON."""
    return msgspec.json.encode(transcript)


def decode(data: bytes) -> Transcript:
    """Raises `msgspec.ValidationError` when `data` is not a transcript."""
    return msgspec.json.decode(data, type=Transcript)
