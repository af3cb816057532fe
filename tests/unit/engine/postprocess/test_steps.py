"""Post-processing as a whole."""

from common.lexicons.entries import Correction
from common.transcript import Language, Segment, Transcript
from services.transcriber.engine.postprocess import steps
from services.transcriber.engine.postprocess.steps import post_process
from services.transcriber.protocol import Options
from tests.unit.engine.postprocess.said import said


def transcript(*segments: Segment, language: str = "en") -> Transcript:
    return Transcript(" ".join(s.text for s in segments), Language(language, 1.0), 100.0, segments, (), {}, {})


def test_both_texts_are_kept() -> None:
    """What was heard stays beside what is written; without a difference there is one text."""
    heard = transcript(said("ask mayer"), said("now", 5.0))
    made = post_process(heard, Options(corrections=(Correction("mayer", "Meyer"),)))
    assert (made.text, made.original_text) == ("ask Meyer now", "ask mayer now")
    assert post_process(heard, Options(corrections=(Correction("x", "y"),))) == heard
    assert post_process(heard, Options()) == heard


def test_a_step_that_fails_is_left_out() -> None:
    """The transcript is as it was heard, and says what is missing."""
    heard = transcript(said("ask mayer"))
    broken = Correction("mayer", "")  # no lexicon can hold this
    made = post_process(heard, Options(corrections=(broken,)))
    assert (made.segments, made.original_text, made.degradations) == (heard.segments, None, (steps.CORRECTIONS_FAILED,))
