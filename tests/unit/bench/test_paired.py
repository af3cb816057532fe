"""A difference of word error rates is told with how far chance goes."""

import pytest

from bench._paired import difference


def test_every_word_counts_the_same() -> None:
    """Points are of all words together, however long a clip is."""
    assert difference([10, 30], [2, 0], [0, 1]).value == pytest.approx(2.5)


def test_few_clips_leave_much_to_chance() -> None:
    """One word more wrong in thirteen clips of ten words may be none; the same share of a thousand clips is one."""
    few, many = difference([10] * 13, [1] + [0] * 12, [0] * 13), difference([10] * 1300, [1] * 100 + [0] * 1200, [0] * 1300)
    assert many.value == pytest.approx(few.value)
    assert few.low == 0 < few.value < few.high
    assert 0 < many.low < many.value < many.high < few.high


def test_what_both_have_wrong_is_no_difference() -> None:
    """Clips that are hard for both sides tell nothing about either, and make nothing uncertain."""
    assert str(difference([10] * 20, [3, 0] * 10, [3, 0] * 10)) == "+0.0 (95 %: +0.0 to +0.0)"
