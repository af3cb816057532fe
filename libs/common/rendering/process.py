"""The result as the earlier service for media files words it (docs/api/earlier-services.md), in its answers and in its webhooks."""

import msgspec

from common.jobs.job import Job
from common.jobs.kind import Kind
from common.rendering.clock import zoned
from common.rendering.verbose import VerboseSegment, verbose
from common.transcript import Language, Transcript

_SENTENCES = "sentencex"


class ProcessTopic(msgspec.Struct, frozen=True):
    """`seconds`: where in the recording it begins."""

    summary: str
    seconds: float
    sentences: list[str]


class DetectedLanguage(msgspec.Struct, frozen=True):
    """The detector's probability; 1.0 when the submitter named the language."""

    language: str
    confidence: float


class ProcessResult(msgspec.Struct, frozen=True, kw_only=True):
    """`whisper_segments` are as Whisper gives them; `models_used` has every model by its stage, the recogniser as `whisper`.

    `spacy` is what told sentences apart, whatever that is now.
    """

    transcript: str
    language_detection: DetectedLanguage
    topics: list[ProcessTopic]
    source_type: Kind
    filename: str
    file_size: int
    whisper_segments: list[VerboseSegment]
    models_used: dict[str, str]
    job_id: str
    processing_completed_at: str | None


def result(job: Job, transcript: Transcript) -> ProcessResult:
    """What came of a completed job."""
    segments = verbose(transcript, task=job.options.task, temperature=job.options.temperature).segments
    return ProcessResult(
        transcript=transcript.text,
        language_detection=_detected(transcript.language),
        topics=[ProcessTopic(topic.summary, topic.start, [sentence.text for sentence in topic.sentences]) for topic in transcript.topics],
        source_type=job.source.kind,
        filename=job.source.filename,
        file_size=job.source.size,
        whisper_segments=segments,
        models_used=_models(transcript.models),
        job_id=str(job.id),
        processing_completed_at=zoned(job.finished_at),
    )


def _detected(language: Language) -> DetectedLanguage:
    return DetectedLanguage(language.code, language.confidence)


def _models(models: dict[str, str]) -> dict[str, str]:
    return {"whisper" if stage == "asr" else stage: name for stage, name in models.items()} | {"spacy": _SENTENCES}
