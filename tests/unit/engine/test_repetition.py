"""Texts that go round in circles."""

import pytest

from services.transcriber.engine.repetition import looping


@pytest.mark.parametrize(
    "text",
    [
        "Press pound to enter a new file name. Press pound to enter a new file name.",
        "the cat sat on, The cat sat on the mat",
        "no " * 60,
        "今日は晴れでしょうから、今日は晴れでしょうから。",
    ],
)
def test_what_is_said_twice_in_a_row_is_a_loop(text: str) -> None:
    """Once is enough, whatever the punctuation, the case or the script."""
    assert looping(text, 20, 5.0)


@pytest.mark.parametrize(
    "text", ["", "Very, very, very good.", "This is Diane in New Jersey.", "one two three four five six one two three"]
)
def test_ordinary_speech_is_none(text: str) -> None:
    """A word said for emphasis, or again later, is how people talk."""
    assert not looping(text, 20, 5.0)


def test_more_than_can_be_said_is_a_loop() -> None:
    """Two hundred tokens do not fit into five seconds."""
    assert looping("ra ru ri ro", 200, 5.0)
