"""Sentences put together of lines."""

from services.transcriber.engine.topics.sentences import sentences
from tests.unit.engine.postprocess.said import said, without_spaces


def test_a_sentence_may_be_several_lines_and_a_line_several_sentences() -> None:
    """With the times of its own words."""
    made = sentences([said("We went to"), said("the market. It was", 3.0), said("closed.", 7.0)], "en")
    assert [(each.text, each.start, each.end) for each in made] == [("We went to the market.", 0.0, 5.0), ("It was closed.", 5.0, 8.0)]


def test_abbreviations_end_nothing() -> None:
    """The library knows them, language by language."""
    assert [each.text for each in sentences([said("Dr. Smith kam. Er blieb z.B. gestern.")], "de")] == [
        "Dr. Smith kam.",
        "Er blieb z.B. gestern.",
    ]


def test_nobody_finishes_anothers_sentence() -> None:
    """A sentence ends with its speaker, and at a pause."""
    lines = [said("I think", speaker="A"), said("never mind", 2.0, speaker="B"), said("what else", 9.0, speaker="B")]
    assert [each.text for each in sentences(lines, "en")] == ["I think", "never mind", "what else"]


def test_other_scripts_have_other_full_stops() -> None:
    """Japanese, Arabic, Hindi; segments say which language they are in where it is not the transcript's."""
    assert [each.text for each in sentences([without_spaces("今日は。", "元気です。")], "ja")] == ["今日は。", "元気です。"]
    assert len(sentences([said("مرحبا بك. كيف حالك؟ أنا بخير.")], "ar")) == 3
    assert len(sentences([said("नमस्ते। आप कैसे हैं।")], "hi")) == 2


def test_speech_without_full_stops_has_an_end() -> None:
    """Lines are put together up to some length."""
    made = sentences([said("so " * 50, 50.0 * number) for number in range(10)], "en")
    assert len(made) > 1
    assert max(len(each.text) for each in made) < 1_000


def test_nothing_is_said() -> None:
    """There are no sentences."""
    assert sentences([], "und") == []
