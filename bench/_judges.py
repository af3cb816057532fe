"""How right a transcript is: word error rate by Whisper's normaliser, diarization error rate, how far words are from where they are."""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import jiwer
from pyannote.core import Annotation, Segment
from pyannote.metrics.diarization import DiarizationErrorRate
from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

from bench._starts import Starts, start_errors
from common.transcript import Transcript

Turn = tuple[float, float, str]

_english: Any = EnglishTextNormalizer  # transformers is typed in part
_others: Any = BasicTextNormalizer
_ENGLISH, _OTHERS = _english({}), _others()


class Errors(NamedTuple):
    """Of one text: how many words are said, and how many are wrong, left out or too many."""

    words: int
    wrong: int


def word_errors(truth: str, heard: str, language: str) -> Errors:
    normal = _ENGLISH if language == "en" else _OTHERS
    found = jiwer.process_words(normal(truth), normal(heard) or " ")
    missed = found.substitutions + found.deletions
    return Errors(found.hits + missed, missed + found.insertions)


def word_error_rate(errors: Iterable[Errors]) -> float:
    """Per cent of the words of all texts together."""
    words, wrong = map(sum, zip(*errors, strict=True))
    return 100 * wrong / words


def diarization_error_rate(truth: Iterable[Turn], found: Iterable[Turn]) -> float:
    """Per cent of the speech, overlaps counted, without a collar."""
    return 100 * float(DiarizationErrorRate()(_annotation(truth), _annotation(found)))


def sample_lines() -> list[tuple[float, str]]:
    """The sample's reference: when each line starts, and what is said."""
    spec = find_spec("pyannote.audio")
    assert spec is not None
    assert spec.origin is not None
    lines = (Path(spec.origin).parent / "sample" / "sample.stm").read_text().splitlines()
    fields = [line.split(maxsplit=5) for line in lines]
    return [(float(each[3]), each[5]) for each in fields]


def starts(transcript: Transcript) -> Starts:
    """How far the first words of the sample's lines are from where they are said."""
    words = [(word.start, _ENGLISH(word.word)) for segment in transcript.segments for word in segment.words]
    return start_errors([(start, _ENGLISH(text).split()[0]) for start, text in sample_lines()], words)


def _annotation(turns: Iterable[Turn]) -> Annotation:
    annotation = Annotation()
    for number, (start, end, speaker) in enumerate(turns):
        annotation[Segment(start, end), number] = speaker
    return annotation
