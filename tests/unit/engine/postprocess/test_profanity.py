"""Stars for swear words."""

import pytest

from common.transcript import Segment
from services.transcriber.engine.postprocess.profanity import Profanity
from tests.unit.engine.postprocess.said import heard, said, without_spaces


@pytest.fixture(scope="module")
def profanity() -> Profanity:
    """The lists, read once."""
    return Profanity()


def masked(profanity: Profanity, segment: Segment, language: str = "en") -> Segment:
    [made] = profanity.mask([segment], language)
    return made


@pytest.mark.parametrize(
    ("language", "spoken", "written"),
    [
        ("en", "What the fuck, man?", "What the ****, man?"),
        ("en", "Bullshit! Fucked up.", "********! ****** up."),
        ("en", "in Scunthorpe, the class assessed a cockatoo", "in Scunthorpe, the class assessed a cockatoo"),
        ("de", "So eine Scheiße hier", "So eine ******* hier"),
        ("fr", "oh putain alors", "oh ****** alors"),
        ("es", "¡Qué puta suerte!", "¡Qué **** suerte!"),
        ("haw", "fuck", "fuck"),
    ],
)
def test_what_is_masked(profanity: Profanity, language: str, spoken: str, written: str) -> None:
    """Whole words and their endings, in the language that is spoken; nothing inside other words."""
    assert masked(profanity, said(spoken), language).text == written


def test_times_and_words_are_kept(profanity: Profanity) -> None:
    """Each word keeps its time, and what was heard."""
    segment = said("oh fuck no")
    made = masked(profanity, segment)
    assert [(word.word, word.start, word.end) for word in made.words] == [("oh", 0, 1), ("****", 1, 2), ("no", 2, 3)]
    assert heard(made) == segment.text


def test_scripts_without_spaces(profanity: Profanity) -> None:
    """A listed word is found among others; a single character, part of many a harmless word, is not."""
    assert masked(profanity, without_spaces("这", "妈的", "牛奶"), "zh").text == "这**牛奶"
