"""Sentences grouped into topics."""

from hypothesis import given, settings
from hypothesis import strategies as st

from common.transcript import Sentence
from services.transcriber.engine.topics.topics import topics

BREAD = (
    "First we knead the bread dough with flour and water. The dough must rest until the yeast has worked. Bread needs a very hot oven."
    " A stone in the oven gives the bread its crust. The crust keeps the bread fresh. Old dough gives new bread its taste."
    " Too much flour makes the dough hard. Take the bread out of the oven when the crust is brown."
)
MOON = (
    "The moon circles the earth once a month. The orbit of the moon is an ellipse. Astronauts landed on the moon in a small craft."
    " The craft left the orbit and fell towards the lunar surface. Dust covers the lunar surface."
    " The astronauts brought lunar dust home to earth."
    " A telescope shows craters on the moon. Every crater on the lunar surface was made by a meteorite."
)


def spoken(text: str) -> list[Sentence]:
    """A sentence each five seconds."""
    return [Sentence(5.0 * number, 5.0 * number + 4.0, f"{each}.") for number, each in enumerate(text.rstrip(".").split(". "))]


def test_where_the_words_change_there_begins_another_topic() -> None:
    """Each has its time, its seconds of speech, and one of its own sentences for a summary."""
    made = topics(spoken(f"{BREAD} {MOON}"))
    assert [(topic.start, topic.end, topic.seconds, len(topic.sentences)) for topic in made] == [
        (0.0, 39.0, 32.0, 8),
        (40.0, 79.0, 32.0, 8),
    ]
    assert "bread" in made[0].summary
    assert "moon" in made[1].summary or "lunar" in made[1].summary
    assert all(topic.summary in [sentence.text for sentence in topic.sentences] for topic in made)


def test_one_thing_is_one_topic() -> None:
    """However often words come back."""
    assert [len(topic.sentences) for topic in topics(spoken(BREAD))] == [8]


def test_scripts_without_spaces() -> None:
    """Pairs of characters are counted."""
    rain = ["大雨で川の水が増えた", "川の水は橋まで来た", "大雨の後の川の水", "橋の下の川の水", "大雨と川の水の話", "大雨で橋が消えた"]
    food = [
        "母の魚料理は美味しい",
        "野菜料理も美味しい",
        "魚料理と野菜料理",
        "母は野菜料理が好き",
        "美味しい魚料理の店",
        "父も魚料理が好き",
    ]
    made = topics([Sentence(float(number), number + 0.5, f"{text}。") for number, text in enumerate(rain + food)])
    assert [len(topic.sentences) for topic in made] == [6, 6]


def test_little_is_one_topic() -> None:
    """Too few sentences, or none with a word that says anything."""
    assert topics([]) == ()
    assert [topic.summary for topic in topics(spoken("Yes"))] == ["Yes."]
    assert len(topics(spoken(". ".join(["Oh no"] * 20)))) == 1


def test_a_summary_is_a_line() -> None:
    """A long sentence is cut between words, one without spaces anywhere."""
    for text in ("wonderful " * 50, "語" * 500):
        [topic] = topics([Sentence(0.0, 1.0, text)])
        assert len(topic.summary) <= 121
        assert topic.summary.endswith("…")
        assert topic.sentences[0].text == text


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=40))
def test_no_sentence_is_lost(texts: list[str]) -> None:
    """Whatever they are: each is in one topic, in order."""
    given_ = [Sentence(float(number), number + 0.5, text) for number, text in enumerate(texts)]
    assert [sentence for topic in topics(given_) for sentence in topic.sentences] == given_
