"""What is done to a transcript after it was heard, in order.

A step that fails is left out, and the transcript says so: words that were heard are worth more than how they are written.
"""

import logging
from collections.abc import Callable, Sequence

import msgspec

from common.transcript import Note, Segment, Transcript
from services.transcriber import protocol
from services.transcriber.engine.postprocess.corrections import Corrections

log = logging.getLogger(__name__)

CORRECTIONS_FAILED = Note("corrections_failed", "The lexicon's corrections could not be made; the text is as it was heard.")

Step = Callable[[Sequence[Segment]], Sequence[Segment]]


def post_process(heard: Transcript, options: protocol.Options) -> Transcript:
    """The transcript as it is to be read."""
    steps: list[tuple[Step, Note]] = []
    if options.corrections:
        steps.append((Corrections(options.corrections).apply, CORRECTIONS_FAILED))
    segments: Sequence[Segment] = heard.segments
    notes = list(heard.degradations)
    for step, failed in steps:
        try:
            segments = step(segments)
        except Exception:
            log.exception("a step of post-processing failed")
            notes.append(failed)
    text = " ".join(segment.text for segment in segments)
    return msgspec.structs.replace(
        heard,
        text=text,
        segments=tuple(segments),
        degradations=tuple(notes),
        original_text=None if text == heard.text else heard.text,
    )
