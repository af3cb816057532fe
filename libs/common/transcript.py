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


class Sentence(msgspec.Struct, frozen=True):
    """One of a topic's."""

    start: float
    end: float
    text: str


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """Sentences in a row that are about one thing; `summary` is the one that says most of it, `seconds` are of speech."""

    summary: str
    start: float
    end: float
    seconds: float
    sentences: tuple[Sentence, ...]


class ReferenceLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the reference that was said: when, how much of it (0 to 1, by its letters), and how many times in a row.

    `cutoff_uncertain`: its first or last word was not heard, or it is only guessed where that begins or ends.
    """

    number: int
    text: str
    start: float
    end: float
    coverage: float
    readings: int
    cutoff_uncertain: bool


class Repeated(msgspec.Struct, frozen=True):
    """Another place where a line was said."""

    number: int
    start: float
    end: float


class Unmatched(msgspec.Struct, frozen=True):
    """Speech that is no line of the reference."""

    start: float
    end: float
    text: str


class Diagnostics(msgspec.Struct, frozen=True, kw_only=True):
    """How far recording and reference fit: lines given and found, letters covered (0 to 1), and what has no counterpart on either side.

    `last_end` is where the last line ends, `input_end` where the recording does.
    """

    lines: int
    found: int
    coverage: float
    missing: tuple[int, ...]
    repeated: tuple[Repeated, ...]
    unmatched: tuple[Unmatched, ...]
    last_end: float | None
    input_end: float


class ReferenceReport(msgspec.Struct, frozen=True):
    """The lines of the reference that were found, in its order."""

    lines: tuple[ReferenceLine, ...]
    diagnostics: Diagnostics


class AudioTrack(msgspec.Struct, frozen=True, kw_only=True):
    """Which of a file's `of` audio tracks was heard, counted from 1; its `language` tag, and why it was taken."""

    number: int
    of: int
    language: str | None
    chosen: Literal["language", "default", "first"]


class Transcript(msgspec.Struct, frozen=True):
    """`duration` is the decoded audio's length; `timings` are wall seconds per engine stage.

    `original_text` is what was heard, where post-processing wrote something else and nothing had to be redacted. `topics` and `reference`
    are there where they were asked for, `audio_track` where the file has several.
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
    audio_track: AudioTrack | None = None
    topics: tuple[Topic, ...] = ()
    reference: ReferenceReport | None = None


def encode(transcript: Transcript) -> bytes:
    """UTF-8 JSON."""
    return msgspec.json.encode(transcript)


def decode(data: bytes) -> Transcript:
    """Raises `msgspec.ValidationError` when `data` is not a transcript."""
    return msgspec.json.decode(data, type=Transcript)
