"""OpenAI's `verbose_json`.

Its clients expect fields of Whisper's inner life. Those that follow from the transcript are computed as Whisper does; of the others
`tokens` is empty, `no_speech_prob` 0 and `avg_logprob` the logarithm of the segment's confidence.
"""

import math
import zlib
from typing import Literal

import msgspec

from common.jobs.languages import NAMES
from common.transcript import Segment, Transcript

_FRAMES_PER_SECOND = 100
_LEAST_PROBABILITY = 1e-10


class VerboseWord(msgspec.Struct, frozen=True):
    """Seconds."""

    word: str
    start: float
    end: float


class VerboseSegment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`seek` in frames of 10 ms; `speaker` only where there is one."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: tuple[int, ...]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    speaker: str | None = None


class VerboseTranscript(msgspec.Struct, frozen=True, kw_only=True):
    """`language` is an English name in lower case."""

    task: Literal["transcribe", "translate"]
    language: str
    duration: float
    text: str
    segments: list[VerboseSegment]
    words: list[VerboseWord]


def verbose(transcript: Transcript, *, task: Literal["transcribe", "translate"], temperature: float) -> VerboseTranscript:
    """`task` and `temperature` are the job's."""
    code = transcript.language.code
    return VerboseTranscript(
        task=task,
        language=NAMES.get(code, code),
        duration=transcript.duration,
        text=transcript.text,
        segments=[_segment(segment, temperature) for segment in transcript.segments],
        words=[VerboseWord(word.word, word.start, word.end) for segment in transcript.segments for word in segment.words],
    )


def _segment(segment: Segment, temperature: float) -> VerboseSegment:
    return VerboseSegment(
        id=segment.id,
        seek=round(segment.start * _FRAMES_PER_SECOND),
        start=segment.start,
        end=segment.end,
        text=segment.text,
        tokens=(),
        temperature=float(temperature),
        avg_logprob=math.log(max(segment.confidence, _LEAST_PROBABILITY)),
        compression_ratio=_compression_ratio(segment.text),
        no_speech_prob=0.0,
        speaker=segment.speaker,
    )


def _compression_ratio(text: str) -> float:
    data = text.encode()
    return len(data) / len(zlib.compress(data))
