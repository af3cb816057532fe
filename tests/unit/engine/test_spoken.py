"""From written words to sounds."""

import pytest

from services.transcriber.engine.alignment import ipa
from services.transcriber.engine.alignment.spoken import spoken


@pytest.mark.parametrize(
    ("word", "language", "said"),
    [
        (" Hello,", "en", ["hello"]),
        (" don’t", "en", ["don't"]),
        (" well-known", "en", ["well", "known"]),
        (" $12", "en", ["twelve"]),
        (" 12€.", "fr", ["douze"]),
        (" 1,000", "en", ["one", "thousand"]),
        (" 1.000", "es", ["mil"]),
        (" 3.5%", "en", ["three", "five", "percent"]),
        (" 50%", "fr", ["cinquante", "pour", "cent"]),
        (" 1999", "en", ["nineteen", "ninety", "nine"]),
        (" 2005", "en", ["two", "thousand", "and", "five"]),
        (" 20,345", "en", ["twenty", "thousand", "three", "hundred", "and", "forty", "five"]),
        (" 1,000,000", "en", ["one", "million"]),
        (" 5551234", "en", ["five", "five", "five", "one", "two", "three", "four"]),
        (" 000", "fr", []),
        (" 020", "en", ["zero", "two", "zero"]),
        (" 5pm", "en", ["five", "pm"]),
        (" Straße", "en", ["straße"]),
        (" Привет!", "ru", ["привет"]),
        (" —", "en", []),
        (" ♪", "en", []),
    ],
)
def test_what_is_said(word: str, language: str, said: list[str]) -> None:
    """Numbers become words, marks and symbols nothing, everything else stays."""
    assert spoken(word, language) == said


@pytest.mark.parametrize(
    ("phones", "expected"),
    [
        ("daɪæn", ["d", "aɪ", "æ", "n"]),
        ("nʲjuːˈd͡ʒɜːzi", ["n", "j", "u", "d͡ʒ", "ɝ", "z", "i"]),
        ("ʁɔ̃tʃə", ["ɹ", "ɔ", "t͡ʃ", "ə"]),
        ("", []),
        ("你", []),
    ],
)
def test_phones_become_tokens(phones: str, expected: list[str]) -> None:
    """Diphthongs are one token, foreign phones become their neighbours, length, stress and nasality are dropped."""
    known = [*"abdefghijklmnopstuvwzæðŋɑɔəɛɝɪɹɾʃʊʌʒθ", "t͡ʃ", "d͡ʒ", "aɪ", "aʊ", "eɪ", "oʊ", "ɔɪ"]
    vocabulary = {phone: number for number, phone in enumerate(known)}
    assert [known[token] for token in ipa.tokens(phones, vocabulary)] == expected
