"""Post-processing as a whole."""

import msgspec
import pytest

from common.errors import PermanentError
from common.lexicons.entries import Correction
from common.references.lines import Line
from common.transcript import Language, Segment, Transcript, encode
from services.transcriber.engine.failures import Cancelled
from services.transcriber.engine.postprocess import steps
from services.transcriber.engine.postprocess.steps import PostProcessing
from services.transcriber.protocol import Options
from tests.unit.engine.postprocess.said import said


def transcript(*segments: Segment, language: str = "en") -> Transcript:
    return Transcript(" ".join(s.text for s in segments), Language(language, 1.0), 100.0, segments, (), {}, {})


def test_both_texts_are_kept() -> None:
    """What was heard stays beside what is written; without a difference there is one text."""
    heard = transcript(said("ask mayer"), said("now", 5.0))
    made = PostProcessing().process(heard, Options(corrections=(Correction("mayer", "Meyer"),)))
    assert (made.text, made.original_text) == ("ask Meyer now", "ask mayer now")
    assert PostProcessing().process(heard, Options(corrections=(Correction("x", "y"),))) == heard
    assert PostProcessing().process(heard, Options()) == heard


def test_a_step_that_fails_is_left_out() -> None:
    """The transcript is as it was heard, and says what is missing."""
    heard = transcript(said("ask mayer"))
    broken = Correction("mayer", "")  # no lexicon can hold this
    made = PostProcessing().process(heard, Options(corrections=(broken,)))
    assert (made.segments, made.original_text, made.degradations) == (heard.segments, None, (steps.CORRECTIONS_FAILED,))
    odd = transcript(msgspec.structs.replace(said("hello"), words=("no word",)))
    made = PostProcessing().process(odd, Options(mask_profanity=True))
    assert (made.segments, made.degradations) == (odd.segments, (steps.MASKING_FAILED,))


def test_nothing_of_what_was_heard_is_kept_when_it_is_redacted() -> None:
    """Neither as a text nor with a word, not even where a correction or a mask changed it."""
    heard = transcript(said("damn mayer shit call 415 555 2671"))
    options = Options(redact=("phone",), mask_profanity=True, corrections=(Correction("mayer", "Meyer"),))
    made = PostProcessing().process(heard, options)
    assert made.text == "damn Meyer **** call [PHONE]"
    assert made.original_text is None
    assert {word.original for segment in made.segments for word in segment.words} == {None}
    assert [each.kind for each in made.redactions] == ["phone"]
    unchanged = PostProcessing().process(
        transcript(said("ask mayer")), Options(redact=("phone",), corrections=(Correction("mayer", "Meyer"),))
    )
    assert unchanged.original_text is None


def test_redaction_that_fails_is_the_jobs_failure() -> None:
    """An unredacted text is given to nobody."""
    broken = transcript(msgspec.structs.replace(said("hello"), words=("no word",)))
    for segments, language in ((broken, "en"), (transcript(said("terve"), language="fi"), "fi")):
        with pytest.raises(PermanentError) as caught:
            PostProcessing().process(msgspec.structs.replace(segments, language=Language(language, 1.0)), Options(redact=("email",)))
        assert caught.value.code == "redaction_failed"


def test_a_translation_is_in_english() -> None:
    """Whatever language was spoken."""
    made = PostProcessing().process(transcript(said("oh shit"), language="fi"), Options(task="translate", mask_profanity=True))
    assert made.text == "oh ****"


def test_a_language_without_a_list_is_told() -> None:
    """Nothing is masked, and the transcript says so."""
    made = PostProcessing().process(transcript(said("aloha"), language="haw"), Options(mask_profanity=True))
    assert (made.text, [note.code for note in made.degradations]) == ("aloha", ["profanity_unknown"])


def test_topics_and_lines_are_told_of_what_is_written() -> None:
    """Where they are asked for: of the corrected text, in the language that it is in."""
    heard = transcript(said("please ask mayer."))
    options = Options(corrections=(Correction("mayer", "Meyer"),), topics=True, reference=(Line(7, "Please ask Meyer!"),))
    told: list[float] = []
    made = PostProcessing().process(heard, options, told.append)
    assert [topic.summary for topic in made.topics] == ["please ask Meyer."]
    assert made.reference is not None
    assert [(line.number, line.coverage) for line in made.reference.lines] == [(7, 1.0)]
    assert (made.warnings, made.degradations) == ((), ())


def test_nothing_that_was_redacted_is_told() -> None:
    """Neither in a topic nor among what is no line."""
    heard = transcript(said("write to me at jane@example.org today."))
    made = PostProcessing().process(heard, Options(redact=("email",), topics=True, reference=(Line(1, "Something else entirely."),)))
    assert "EMAIL" in made.topics[0].summary
    assert b"jane" not in encode(made)


def test_a_reference_of_which_nothing_is_said() -> None:
    """The job is done all the same, with a warning."""
    made = PostProcessing().process(transcript(said("ask mayer")), Options(reference=(Line(1, "Altogether different words."),)))
    assert made.reference is not None
    assert made.reference.lines == ()
    assert made.warnings == (steps.REFERENCE_UNMATCHED,)


def test_what_is_told_of_a_text_may_fail() -> None:
    """The text stays, and the transcript says what is missing."""
    broken = msgspec.structs.replace(said("ask mayer"), start=None)
    heard = transcript(broken, said("now", 5.0))
    made = PostProcessing().process(heard, Options(topics=True, reference=(Line(1, "ask mayer"),)))
    assert (made.text, made.topics, made.reference) == ("ask mayer now", (), None)
    assert made.degradations == (steps.TOPICS_FAILED, steps.REFERENCE_FAILED)


def test_nobody_waits_for_lines_any_more() -> None:
    """A cancelled request ends in the midst of looking for them."""

    def gone(_: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        PostProcessing().process(transcript(said("ask mayer " * 300)), Options(reference=(Line(1, "ask mayer"),)), gone)
