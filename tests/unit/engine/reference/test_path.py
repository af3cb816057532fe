"""The best path through a script and what was said."""

from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Indel

from services.transcriber.engine.reference import path
from services.transcriber.engine.reference.folding import weight
from services.transcriber.engine.reference.path import Script, Step, align

WORDS = ("a", "the", "house", "horse", "garden", "gardens", "wonderful")
Lines = list[list[str]]


def script(lines: Lines) -> Script:
    return Script([word for line in lines for word in line], [number for number, line in enumerate(lines) for _ in line])


def gain(one: str, other: str) -> int:
    alike = Indel.normalized_similarity(one, other)
    return round((weight(one) + weight(other)) * (2 * alike - 1)) if alike >= 0.5 else -(weight(one) + weight(other))


def best(spoken: Sequence[str], of: Script) -> int:
    """What the best path is worth, by trying everything."""

    @cache
    def onward(number: int, place: int) -> int:
        """From a token and the next place of the script, or -1 outside."""
        if number == len(spoken):
            return 0
        choices = [onward(number + 1, -1)] if place < 0 else [onward(number, -1)]
        if place < 0:
            choices += [int(of.entering[to]) + taken(number, to) for to in range(len(of.tokens))]
        else:
            choices.append(onward(number + 1, place) - weight(spoken[number]))
            if place < len(of.tokens):
                choices += [taken(number, place), onward(number, place + 1) - int(of.weights[place])]
        return max(choices)

    def taken(number: int, place: int) -> int:
        return gain(spoken[number], of.tokens[place]) + onward(number + 1, place + 1)

    return onward(0, -1)


def worth(spoken: Sequence[str], steps: Sequence[Step | None], of: Script) -> int:
    """What a path is worth, step by step."""
    total, before, number_before = 0, None, -1
    for number, step in enumerate(steps):
        if step is None:
            continue
        total += gain(spoken[number], of.tokens[step.place])
        if step.entered:
            total += int(of.entering[step.place])
        else:
            assert before is not None
            total -= sum(map(weight, spoken[number_before + 1 : number])) + int(of.weights[before + 1 : step.place].sum())
        before, number_before = step.place, number
    return total


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3), min_size=1, max_size=3),
    st.lists(st.sampled_from((*WORDS, "unheard", "of")), max_size=8),
)
def test_no_path_is_better(lines: Lines, spoken: list[str]) -> None:
    """What is found is worth as much as the best of all paths."""
    of = script(lines)
    assert worth(spoken, align(spoken, of), of) == best(spoken, of)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4), min_size=1, max_size=5), st.data())
def test_a_path_in_stretches_is_the_same(lines: Lines, data: st.DataObject) -> None:
    """However little of the table is held at once."""
    of = script(lines)
    spoken = data.draw(st.lists(st.sampled_from(of.tokens), min_size=2, max_size=20))
    assert align(spoken, of, table_bytes=len(of.tokens) * 3) == align(spoken, of)


LINES = [line.split() for line in ("the quick brown fox jumps", "over the lazy dog today", "and everyone went home")]


@pytest.mark.parametrize(
    ("spoken", "found"),
    [
        ("the quick brown fox jumps over the lazy dog today and everyone went home", "0000011111" + "2222"),
        ("good evening everybody the quick brown fox jumps thank you", "---00000--"),
        ("the quick brown fox jumps and everyone went home", "000002222"),
        ("over the lazy dog today over the lazy dog today", "1111111111"),
        ("and everyone went home the quick brown fox jumps", "222200000"),
        ("the quack braun fax jumps", "00000"),
        ("something else altogether is said here", "------"),
    ],
)
def test_lines_are_found(spoken: str, found: str) -> None:
    """In order, after a formula, with one left out, said again, in another order, misheard, or not at all."""
    of = script(LINES)
    assert "".join("-" if step is None else str(of.lines[step.place]) for step in align(spoken.split(), of)) == found


def test_progress_is_told_and_may_end_it() -> None:
    """Fractions grow to 1 at most; what is raised comes through."""
    of = script(LINES)
    told: list[float] = []
    align(["fox"] * 1_000, of, told.append)
    assert told == sorted(told)
    assert 0 < told[0] <= told[-1] <= 1

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        align(["fox"] * 1_000, of, stop)


def test_words_without_end_fit_a_byte() -> None:
    """What is longer than thirty letters counts as thirty."""
    of = script([["x" * 500, "y" * 500]])
    assert [step is not None for step in align(["x" * 500, "y" * 500], of)] == [True, True]
    assert path._HEAVIEST * 2 - path._WORST < 128
