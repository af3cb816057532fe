"""Words as they are compared."""

import pytest

from services.transcriber.engine.reference.folding import tokens, weight


@pytest.mark.parametrize(
    ("printed", "heard"),
    [
        ("بِسْمِ ٱللَّهِ ٱلرَّحْمَـٰنِ ٱلرَّحِيمِ", "بسم الله الرحمن الرحيم"),
        ("إِيَّاكَ نَعْبُدُ، مُؤْمِنٌ", "اياك نعبد مومن"),
        ("شَـــيْءٌ قَالَتْ هَٰذِهِ مَدْرَسَةٌ", "شي قالت هذه مدرسه"),
        ("שָׁלוֹם עֲלֵיכֶם־אַתֶּם", "שלום עליכם אתם"),
        ("Ça, l’été\u00a0! STRASSE don't", "ca l'ete straße dont"),
        ("Žluťoučký kůň, ёж", "zlutoucky kun еж"),
        ("ﬁn café", "fin cafe\u0301"),
    ],
)
def test_what_is_left_out_when_writing_does_not_count(printed: str, heard: str) -> None:
    """Vowel points, accents, lengthening, ligatures, forms of one letter, case and punctuation."""
    assert tokens(printed) == tokens(heard)


def test_vowels_that_are_marks_stay() -> None:
    """In Devanagari they tell words apart."""
    assert tokens("दिन दान") == ["दिन", "दान"]


def test_scripts_without_spaces() -> None:
    """Each character is a word; what is written with spaces beside them stays whole."""
    assert tokens("今日はGPTです。") == ["今", "日", "は", "gpt", "で", "す"]


def test_an_ideograph_says_more_than_a_letter() -> None:
    """Weights are in letters."""
    assert (weight("house"), weight("家"), weight("집")) == (5, 3, 3)


def test_nothing_to_compare() -> None:
    """Signs are no words."""
    assert tokens("— … !?") == []
