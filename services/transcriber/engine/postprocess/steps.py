"""What is done to a transcript after it was heard: corrections, redaction, masking, topics and the lines of a reference, in this order.

A step that fails is left out, and the transcript says so: words that were heard are worth more than how they are written. All but
redaction: what should have been redacted and was not is given to nobody, so its failure is the job's.
"""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from common.errors import PermanentError, VerbatimError
from common.references.lines import Line
from common.transcript import Note, Redaction, Segment, Transcript
from services.transcriber import protocol
from services.transcriber.engine.failures import Cancelled
from services.transcriber.engine.postprocess.corrections import Corrections
from services.transcriber.engine.postprocess.redaction import Heard, redact

if TYPE_CHECKING:
    from services.transcriber.engine.postprocess.profanity import Profanity

log = logging.getLogger(__name__)

CORRECTIONS_FAILED = Note("corrections_failed", "The lexicon's corrections could not be made; the text is as it was heard.")
MASKING_FAILED = Note("masking_failed", "Swear words could not be masked.")

TOPICS_FAILED = Note("topics_failed", "The transcript could not be divided into topics.")
REFERENCE_FAILED = Note("reference_failed", "The lines of the reference could not be looked for.")
REFERENCE_UNMATCHED = Note("reference_unmatched", "No line of the reference was found in what is said.")

Segments = Sequence[Segment]
Progress = Callable[[float], None]


class PostProcessing:
    """Keeps lists that take time to read, and reads them when they are first asked for."""

    def __init__(self) -> None:
        self._profanity: Profanity | None = None

    def process(
        self, heard: Transcript, options: protocol.Options, progress: Progress = lambda _: None, stretches: Heard | None = None
    ) -> Transcript:
        """The transcript as it is to be read. Raises `PermanentError` `redaction_failed`, what `progress` raises, and nothing else.

        `progress` gets fractions of 1; `stretches` are where redaction has to look for words that have no times of their own.
        """
        notes = list(heard.degradations)
        language = "en" if options.task == "translate" else heard.language.code

        def attempt(step: Callable[[Segments], Segments], before: Segments, failed: Note) -> Segments:
            try:
                return step(before)
            except Exception:
                log.exception("a step of post-processing failed")
                notes.append(failed)
                return before

        segments: Segments = heard.segments
        redactions: Sequence[Redaction] = ()
        if options.corrections:
            segments = attempt(lambda before: Corrections(options.corrections).apply(before), segments, CORRECTIONS_FAILED)
        if options.redact:
            segments, redactions = _redacted(segments, options, language, stretches)
        if options.mask_profanity:
            segments = attempt(lambda before: self._masked(before, language, notes), segments, MASKING_FAILED)
        if options.redact:
            segments = [_without_originals(segment) for segment in segments]
        text = " ".join(segment.text for segment in segments)
        processed = msgspec.structs.replace(
            heard,
            text=text,
            segments=tuple(segments),
            degradations=tuple(notes),
            original_text=None if options.redact or text == heard.text else heard.text,
            redactions=tuple(redactions),
        )
        if options.topics:
            processed = _unless_failed(lambda: _with_topics(processed, language), processed, TOPICS_FAILED)
        if options.reference:
            processed = _unless_failed(lambda: _with_reference(processed, options.reference, progress), processed, REFERENCE_FAILED)
        return processed

    def _masked(self, segments: Segments, language: str, notes: list[Note]) -> Segments:
        from services.transcriber.engine.postprocess.profanity import LANGUAGES, Profanity  # noqa: PLC0415 - few need the time it takes

        if strange := sorted({segment.language or language for segment in segments} - LANGUAGES):
            notes.append(Note("profanity_unknown", f"There is no list of swear words in {', '.join(strange)}; nothing was masked there."))
        self._profanity = self._profanity or Profanity()
        return self._profanity.mask(segments, language)


def _unless_failed(step: Callable[[], Transcript], before: Transcript, failed: Note) -> Transcript:
    """What is told of a text is worth less than the text."""
    try:
        return step()
    except Cancelled:
        raise
    except Exception:
        log.exception("a step of post-processing failed")
        return msgspec.structs.replace(before, degradations=(*before.degradations, failed))


def _with_topics(transcript: Transcript, language: str) -> Transcript:
    from services.transcriber.engine.topics.sentences import sentences  # noqa: PLC0415 - few need the time it takes
    from services.transcriber.engine.topics.topics import topics  # noqa: PLC0415

    return msgspec.structs.replace(transcript, topics=topics(sentences(transcript.segments, language)))


def _with_reference(transcript: Transcript, lines: Sequence[Line], progress: Progress) -> Transcript:
    from services.transcriber.engine.reference.report import report  # noqa: PLC0415 - likewise

    found = report(transcript.segments, lines, transcript.duration, progress)
    warnings = transcript.warnings if found.lines else (*transcript.warnings, REFERENCE_UNMATCHED)
    return msgspec.structs.replace(transcript, reference=found, warnings=warnings)


def _redacted(
    segments: Segments, options: protocol.Options, language: str, stretches: Heard | None
) -> tuple[Segments, Sequence[Redaction]]:
    try:
        return redact(segments, options.redact, language, stretches)
    except VerbatimError:
        raise
    except Exception as error:
        log.exception("redaction failed")
        raise PermanentError("redaction_failed", "The transcript could not be redacted, so nothing was kept.") from error


def _without_originals(segment: Segment) -> Segment:
    """What was heard is not kept beside what was redacted."""
    return msgspec.structs.replace(segment, words=tuple(msgspec.structs.replace(word, original=None) for word in segment.words))
