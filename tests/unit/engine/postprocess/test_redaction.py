"""Redaction of transcripts: labels for words, stretches of time for the recording."""

import msgspec
import pytest

from common.errors import PermanentError
from common.lexicons.entries import Correction
from common.transcript import Redaction, Segment, Word
from services.transcriber.engine.heard import Span
from services.transcriber.engine.postprocess.corrections import Corrections
from services.transcriber.engine.postprocess.redaction import MARGIN, redact
from tests.unit.engine.postprocess.said import said

NUMBER = "415 555 2671"


def times(redactions: list[Redaction]) -> list[tuple[float, float, str]]:
    return [(each.start, each.end, each.kind) for each in redactions]


def test_labels_take_the_place_of_words() -> None:
    """One label for all words of a number, in their time; what is around them stays, commas included."""
    [made], redactions = redact([said("Call 415 555 2671, or not.")], ["phone"], "en")
    assert made.text == "Call [PHONE], or not."
    assert [(word.word, word.start, word.end) for word in made.words] == [
        ("Call", 0.0, 1.0), ("[PHONE],", 1.0, 4.0), ("or", 4.0, 5.0), ("not.", 5.0, 6.0),
    ]  # fmt: skip
    assert times(redactions) == [(1.0 - MARGIN, 4.0 + MARGIN, "phone")]


def test_a_number_across_lines() -> None:
    """Those who dictate pause: each line has its label."""
    made, redactions = redact([said("It is 415"), said("555 2671 okay", 5.0)], ["phone"], "en")
    assert [segment.text for segment in made] == ["It is [PHONE]", "[PHONE] okay"]
    assert times(redactions) == [(1.75, 7.25, "phone")]


def test_a_number_with_somebody_else_between() -> None:
    """Each speaker is also listened to alone."""
    segments = [said("415 555", speaker="A"), said("bear with me", 2.0, speaker="B"), said("2671 got it", 4.0, speaker="A")]
    made, _ = redact(segments, ["phone"], "en")
    assert [segment.text for segment in made] == ["[PHONE]", "bear with me", "[PHONE] got it"]


def test_channels_do_not_mix() -> None:
    """What two channels say at once is no sentence."""
    left, right = said("415 555"), msgspec.structs.replace(said("2671 times"), channel=1)
    made, redactions = redact([left, right], ["phone"], "en")
    assert [segment.text for segment in made] == ["415 555", "2671 times"]
    assert redactions == []


def test_estimated_times_are_not_trusted() -> None:
    """Where a word's time is a guess, everything up to its well-timed neighbours is silenced."""
    words = [("so", "aligned"), ("um", "interpolated"), (NUMBER.replace(" ", "-"), "interpolated"), ("well", "interpolated"), ("ok", "asr")]
    timed = tuple(Word(word, float(index), index + 0.5, 0.9, timing) for index, (word, timing) in enumerate(words))  # type: ignore[arg-type]
    _, redactions = redact([Segment(0, 0.0, 4.5, " ".join(word for word, _ in words), 0.9, timed)], ["phone"], "en")
    assert times(redactions) == [(0.5 - MARGIN, 4.0 + MARGIN, "phone")]


def guessed(text: str, start: float, seconds: float) -> Segment:
    """A line of which nobody knows when its words were said: each has an even share of the time."""
    words = text.split()
    pace = seconds / len(words)
    timed = (Word(word, start + index * pace, start + (index + 1) * pace, 0.9, "interpolated") for index, word in enumerate(words))
    return Segment(0, start, start + seconds, text, 0.9, tuple(timed))


@pytest.mark.parametrize("text", ["Hallo 017642131800", "017642131800 Hallo", "Hallo 0176 42131800 so weiter"])
def test_where_all_times_are_estimated_nothing_of_a_number_is_heard(text: str) -> None:
    """It may be anywhere in what was heard at once, and is in no other stretch: an hour of guesses is not silenced for one number."""
    lines = [guessed("Guten Tag", 0.0, 8.0), guessed(text, 8.0, 8.0), guessed("Auf Wiedersehen", 16.0, 8.0)]
    heard: dict[int | None, list[Span]] = {None: [Span(0.0, 8.0), Span(8.0, 16.0), Span(16.0, 24.0)]}
    _, redactions = redact(lines, ["phone"], "de", heard)
    assert times(redactions) == [(8.0 - MARGIN, 16.0 + MARGIN, "phone")]
    _, redactions = redact(lines[1:2], ["phone"], "de")
    assert times(redactions) == [(8.0 - MARGIN, 16.0 + MARGIN, "phone")], "the stream's edges, where nobody says what was heard at once"


def test_a_number_that_was_heard_in_two_stretches() -> None:
    """From the first's start to the other's end, as far as there are no better times."""
    lines = [said("so", 0.5), guessed("415 555", 2.0, 8.0), guessed("2671 okay", 10.0, 8.0)]
    _, redactions = redact(lines, ["phone"], "en", {None: [Span(0.0, 10.0), Span(10.0, 20.0)]})
    assert times(redactions) == [(1.5 - MARGIN, 20.0 + MARGIN, "phone")]


def test_what_a_correction_wrote_is_where_its_words_were() -> None:
    """New words share the time of the old, so the middle one may seem to be in a stretch in which its sound is not."""
    old = guessed("one two", 8.0, 4.0)
    [line] = Corrections([Correction("one two", "415 555 2671")]).apply([old])
    assert [word.original for word in line.words] == ["one two", "", ""]
    _, redactions = redact([line], ["phone"], "en", {None: [Span(0.0, 10.0), Span(10.0, 20.0)]})
    assert times(redactions) == [(0.0, 20.0 + MARGIN, "phone")]


def test_a_line_whose_words_are_not_its_text() -> None:
    """The text is what counts."""
    odd = Segment(0, 0.0, 4.0, "Call 415 555 2671", 0.9, (Word("Hello", 0.0, 1.0, 0.9, "aligned"),))
    [made], _ = redact([odd], ["phone"], "en")
    assert made.text == "Call [PHONE]"
    assert [word.word for word in made.words] == ["Call", "[PHONE]"]


def test_nothing_to_redact() -> None:
    """Is no failure, and neither is silence."""
    segments = [said("Good day")]
    assert redact(segments, ["phone"], "en") == (segments, [])
    assert redact([], ["phone"], "und") == ([], [])


def test_a_language_that_is_not_understood() -> None:
    """Is a failure: nobody knows what was said in it."""
    with pytest.raises(PermanentError) as caught:
        redact([said("one"), msgspec.structs.replace(said("yksi"), language="fi")], ["phone"], "en")
    assert caught.value.code == "redaction_failed"
    assert "not fi" in caught.value.message
