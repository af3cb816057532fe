"""How far words are from where they are said is told with those that were not found."""

from math import inf

from bench._starts import start_errors

LINES = [(1.0, "so"), (5.0, "well"), (9.0, "yes"), (12.0, "no")]


def test_the_nearest_word_that_sounds_the_same_counts() -> None:
    """In milliseconds, early or late."""
    found = start_errors(LINES[:3], [(0.9, "so"), (1.04, "so"), (4.92, "well"), (9.06, "yes")])
    assert str(found) == "60 (3 of 3 lines found)"


def test_a_word_that_is_not_there_is_as_wrong_as_can_be() -> None:
    """Two of four left out would leave a median of the best two otherwise; one that is a second away is another word."""
    assert start_errors(LINES, [(1.01, "so"), (5.02, "well"), (10.5, "yes")]) == (inf, 2, 4)
    assert str(start_errors(LINES, [(1.01, "so"), (5.02, "well"), (9.2, "yes")])) == "110 (3 of 4 lines found)"
