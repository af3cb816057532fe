"""What should not be passed on, as people write and as they say it."""

import time

import pytest

from common.jobs.languages import REDACTABLE
from common.jobs.options import Sensitive
from services.transcriber.engine.postprocess.sensitive import find
from services.transcriber.engine.postprocess.spoken import LANGUAGES

NAMED: tuple[Sensitive, ...] = ("email", "phone", "card", "iban")
FOUND = [
    ("en", "phone", "My number is <415-555-2671.>"),
    ("en", "phone", "it's <(415) 555 2671> okay"),
    ("en", "phone", "Call me at <four one five, five five five, two six seven one.>"),
    ("en", "phone", "so <4, 1, 5, 5, 5, 5, 2, 6, 7, 1> it is"),
    ("en", "phone", "it is <415 555, um, 2671> bye"),
    ("en", "phone", "call <double oh seven triple five one two three four> now"),
    ("en", "phone", "<plus four nine one seven one two three four five six seven>"),
    ("en", "phone", "call <555-2671 ext. 12> please"),
    ("en", "phone", "one digit is missing: <415 555 267>"),
    ("en", "phone", "it is <415, uh-huh, 555, okay, 2671.> Thanks"),
    ("en", "phone", "it is <415. Mm-hmm. 555. Yeah, got it. 2671.> Right."),
    ("en", "phone", "is it <415? Yes. 555? Right, uh, 2671?> Yes."),
    ("en", "phone", "<four one five uh huh five five five all right two six seven one> okay"),
    ("en", "card", "card <4111, yes, 1111, go on, 1111, sure, 1111> ok"),
    ("en", "iban", "iban <GB29 NWBK 6016, okay, 1331, yes, 9268 19> ok"),
    ("de", "phone", "<0176, ja, 42 13, genau, 18 00> okay"),
    ("fr", "phone", "<06 12, d’accord, 34 56, oui, 78> voilà"),
    ("es", "phone", "<612, sí, 345, vale, 678> bueno"),
    ("it", "phone", "<320, sì, 123, va bene, 456> certo"),
    ("nl", "phone", "<06 12, ja, 34 56, oké, 78> prima"),
    ("pt", "phone", "<912, sim, 345, tá bom, 678> pronto"),
    ("da", "phone", "<23 45, ja, 67, okay, 89> fint"),
    ("en", "email", "write to <mister dot right at okay dot com> please"),
    ("en", "email", "write to all <right 5 at mail dot com> please"),
    ("en", "email", "write to <john.doe@gmail.com.> Thanks"),
    ("en", "email", "write to <john at gmail.com> please"),
    ("en", "email", "write to <john dot doe at gmail dot com> please"),
    ("en", "email", "I'm <j o h n ninety nine at example dot co dot uk>"),
    ("en", "email", "mail <J-O-H-N underscore 7 at proton mail dot com>"),
    ("en", "email", "address is <j o h n dot s m i t h at g m a i l dot com> thanks"),
    ("en", "email", "it's <b o b underscore l 33 t 7 at e x a m p l e dot c o m.> Thanks"),
    ("en", "email", "<J. O. H. N. at P. O. S. T. dot example dot c o dot u k> okay"),
    ("en", "email", "write to <a double n a 1 b 2 at mail dot org> please"),
    ("en", "email", "to <j.smith at mail.example.com> or"),
    ("en", "card", "card <4111 1111 1111 1111> ok"),
    ("en", "card", "card <four one one one, 1111, 1111, one one one two>"),
    ("en", "iban", "iban <GB29 NWBK 6016 1331 9268 19> ok"),
    ("en", "iban", "it is <G B two nine n w b k 6016 1331 9268 nineteen>"),
    ("de", "phone", "<null eins sieben sechs zweiundvierzig dreizehn achtzehn>"),
    ("de", "email", "<max punkt muster ät web punkt de>"),
    ("de", "iban", "<D E acht neun drei sieben null vier null null vier vier null fünf>"),
    ("fr", "phone", "<zéro six douze trente-quatre cinquante-six soixante-dix-huit>"),
    ("fr", "email", "c'est <jean tiret bas dupont arobase orange point fr>"),
    ("es", "email", "mi correo es <ana arroba correo punto es>"),
    ("es", "phone", "<seis uno dos tres cuatro cinco seis siete ocho>"),
    ("it", "phone", "<tre due zero uno due tre quattro cinque sei>"),
    ("it", "email", "<maria chiocciola posta punto it>"),
    ("nl", "phone", "<nul zes een twee drie vier vijf zes zeven acht>"),
    ("pt", "phone", "<nove um dois três meia cinco quatro sete oito>"),
    ("da", "phone", "<to tre fire fem seks syv otte ni>"),
]
INNOCENT = [
    "look at me. Go home",
    "one of them is at home today",
    "on 2026-03-02 or 03/02/2026 or 2.3.2026 at 10:30",
    "in 2019, 2020 and 2021",
    "two million five hundred thousand, or $1,234,567",
    "it is 5 or 6 of 10",
    "No 12 is 3 dollars",
    "Room 415, right, for 55 people, okay, at 7",
    "in 2019, yes, 2020? Right. 2021, okay",
    "on 3/2/2026, okay, or 4/2/2026?",
    "is it 5? Yes. 6? Right. Or 10?",
    "okay, 415, yes, right, okay",
]


@pytest.mark.parametrize(("language", "kind", "text"), FOUND, ids=[f"{row[0]}-{row[2][:24]}" for row in FOUND])
def test_what_is_found(language: str, kind: str, text: str) -> None:
    """Written or spoken, grouped or digit by digit, with pauses and with a digit misheard; these words and no others."""
    words = text.replace("<", "").replace(">", "").split()
    expected = text[text.index("<") + 1 : text.index(">")]
    assert [(each.kind, " ".join(words[each.words.start : each.words.stop])) for each in find(words, language, NAMED)] == [(kind, expected)]


@pytest.mark.parametrize("text", INNOCENT)
def test_what_is_left_alone(text: str) -> None:
    """Dates, years, times, amounts and small numbers are said all the time."""
    assert find(text.split(), "en", NAMED) == []


def test_only_what_was_asked_for() -> None:
    """A kind that is not asked for stays; a stretch that could be several is named by the gravest."""
    words = ["card", "4111", "1111", "1111", "1111", "or", "ann@example.com"]
    assert [each.kind for each in find(words, "en", ["email"])] == ["email"]
    assert [each.kind for each in find(words, "en", ["phone"])] == ["phone"]
    assert [each.kind for each in find(words, "en", NAMED)] == ["card", "email"]


def test_all_numbers() -> None:
    """Digits and number words, amounts too; "one of them" is no number."""
    words = ["one", "of", "them", "paid", "forty", "two", "dollars", "on", "May", "5th", "for", "two", "million", "shares"]
    numbers = [" ".join(words[each.words.start : each.words.stop]) for each in find(words, "en", ["number"])]
    assert numbers == ["forty two", "5th", "two million"]


def test_languages() -> None:
    """What submissions may ask for is what is understood."""
    assert set(REDACTABLE) == LANGUAGES


@pytest.mark.parametrize(
    "text",
    [
        "one " * 20_000,
        "a " * 20_000,
        "at dot " * 10_000,
        "a.b-c " * 10_000,
        "D E 1 2 " * 8_000,
        "4 x " * 15_000,
        "a 1 dot " * 8_000,
        "x dot 1 1 " * 8_000,
    ],
)
def test_hours_of_anything(text: str) -> None:
    """No text keeps the engine busy for long."""
    began = time.process_time()
    find(text.split(), "en", NAMED)
    assert time.process_time() - began < 20
