"""Telling the languages of a recording's chunks."""

import pytest

from services.transcriber.engine.languages import assign, foreign, main, restrict

ENGLISH, FRENCH = {"en": 0.97, "fr": 0.02}, {"en": 0.01, "fr": 0.98}
UNSURE = {"en": 0.35, "fr": 0.4, "nl": 0.2}


def test_a_recording_in_two_languages() -> None:
    """Chunks that are sure of another language than their neighbours are in it."""
    guesses = [ENGLISH, ENGLISH, FRENCH, FRENCH, ENGLISH]
    assert assign(guesses, [25.0] * 5) == ["en", "en", "fr", "fr", "en"]


def test_an_unsure_chunk_follows_its_neighbours() -> None:
    """A weak guess changes nothing."""
    assert assign([ENGLISH, UNSURE, ENGLISH], [25.0] * 3) == ["en", "en", "en"]


def test_a_short_chunk_must_be_surer_than_a_long_one() -> None:
    """Two seconds that sound French amid English are English with an accent, or a name."""
    assert assign([ENGLISH, FRENCH, ENGLISH], [25.0, 2.0, 25.0]) == ["en", "en", "en"]
    assert assign([ENGLISH, FRENCH, ENGLISH], [25.0, 20.0, 25.0]) == ["en", "fr", "en"]


def test_where_all_are_unsure_the_sum_decides() -> None:
    """Many weak guesses for one language outweigh one weak guess for another."""
    weak = {"en": 0.5, "fr": 0.3}
    assert assign([UNSURE, weak, weak], [10.0] * 3) == ["en"] * 3


def test_one_chunk_is_what_it_sounds_like() -> None:
    """Alone, however unsure or short."""
    assert assign([UNSURE], [0.5]) == ["fr"]
    assert assign([], []) == []


def test_only_allowed_languages_are_meant() -> None:
    """What is left is shared between them; one that the model never thought of is the least likely."""
    left = restrict({"en": 0.9, "de": 0.06, "nl": 0.02}, ["de", "nl", "fy"])
    assert left["de"] == pytest.approx(0.75)
    assert left["fy"] < 1e-6
    assert sum(left.values()) == pytest.approx(1.0)
    assert restrict(ENGLISH, []) == ENGLISH


def test_the_recordings_language_is_that_of_most_of_it() -> None:
    """By seconds, not by chunks; its confidence is the model's, over the chunks in that language."""
    code, confidence = main(["en", "fr", "fr"], [ENGLISH, FRENCH, FRENCH], [60.0, 10.0, 10.0])
    assert (code, round(confidence, 6)) == ("en", 0.97)


def test_a_language_that_was_not_asked_for_is_noticed() -> None:
    """Where it is likely and those that were are not: neighbours are taken for each other, and a model is unsure of a short noise."""
    assert foreign({"en": 0.97, "ru": 0.01}, ("ru",))
    assert foreign({"en": 0.97, "ru": 0.01}, ("ru", "de"))
    assert not foreign({"en": 0.97, "ru": 0.01}, ())
    assert not foreign({"en": 0.97, "ru": 0.01}, ("ru", "en"))
    assert not foreign({"no": 0.8, "nn": 0.15}, ("nn",))
    assert not foreign({"pt": 0.24, "en": 0.18, "es": 0.05}, ("es",))
