"""Whose words these are."""

import time
from itertools import pairwise

import numpy as np
import pytest

from services.transcriber.engine.speakers import Turn, attribute, seconds, spoken_over, whose
from services.transcriber.engine.words import PlacedWord


def word(start: float, end: float, text: str = " word") -> PlacedWord:
    return PlacedWord(text, start, end, 0.9, "asr", "en")


def owners(words: list[PlacedWord], turns: list[Turn]) -> list[str | None]:
    return [each.speaker for each in attribute(words, turns)[0]]


def random_turns(chance: np.random.Generator, count: int, speakers: int, length: float) -> list[Turn]:
    """Turns of each speaker one after the other, those of different speakers across each other."""
    turns = []
    for speaker in range(speakers):
        edges = np.sort(chance.uniform(0, length, 2 * (count // speakers))).round(3)
        turns += [Turn(float(start), float(end), f"S{speaker}") for start, end in edges.reshape(-1, 2) if start < end]
    return sorted(turns, key=lambda turn: (turn.start, turn.end))


def one_by_one(start: float, end: float, turns: list[Turn]) -> tuple[set[str], float]:
    """The same by hand: who may have the word, and how much of it two or more speak over."""
    shared = {turn.speaker: 0.0 for turn in turns}
    for turn in turns:
        shared[turn.speaker] += max(0.0, min(end, turn.end) - max(start, turn.start))
    edges = sorted({start, end, *(edge for turn in turns for edge in (turn.start, turn.end) if start < edge < end)})
    active = [(b - a, sum(turn.start <= a and b <= turn.end for turn in turns)) for a, b in pairwise(edges)]
    over = sum(length for length, count in active if count > 1)
    most = max(shared.values())
    if most > 0:
        return {speaker for speaker, amount in shared.items() if amount >= most - 1e-9}, over
    gaps = {turn.speaker: min(max(t.start - end, start - t.end) for t in turns if t.speaker == turn.speaker) for turn in turns}
    return {speaker for speaker, gap in gaps.items() if gap <= min(gaps.values()) + 1e-9}, over


@pytest.mark.parametrize("seed", range(20))
def test_it_agrees_with_looking_at_every_turn(seed: int) -> None:
    """Random words and random turns, across each other or far apart: owner and overlap are those found one by one."""
    chance = np.random.default_rng(seed)
    turns = random_turns(chance, 3 + 3 * seed, 1 + seed % 4, 60.0)
    starts = np.sort(chance.uniform(-5, 65, 80)).round(3)
    ends = (starts + chance.uniform(0.02, 2.0, 80)).round(3)
    speakers = list(dict.fromkeys(turn.speaker for turn in turns))
    found, over = whose(starts, ends, turns), spoken_over(starts, ends, turns)
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        possible, expected = one_by_one(float(start), float(end), turns)
        assert speakers[found[index]] in possible
        assert over[index] == pytest.approx(expected, abs=1e-6)


def test_hours_of_words_take_no_time() -> None:
    """54,000 words against 5,000 turns of eight speakers take a second of the processor's time at most, which others cannot lengthen."""
    chance = np.random.default_rng(7)
    turns = random_turns(chance, 5_000, 8, 16_200.0)
    words = [word(i * 0.3, i * 0.3 + 0.25) for i in range(54_000)]
    began = time.thread_time()
    attributed, _ = attribute(words, turns)
    assert time.thread_time() - began <= 1
    assert len({each.speaker for each in attributed}) == 8


def test_most_of_a_word_decides() -> None:
    """A word across a change of speakers belongs to whoever has more of it."""
    turns = [Turn(0.0, 1.0, "a"), Turn(1.0, 2.0, "b")]
    assert owners([word(0.8, 1.1), word(0.9, 1.3)], turns) == ["SPEAKER_00", "SPEAKER_01"]


def test_a_word_in_silence_goes_to_the_nearest() -> None:
    """Also before the first turn and after the last one, and without a length."""
    turns = [Turn(1.0, 2.0, "a"), Turn(4.0, 5.0, "b")]
    words = [word(0.1, 0.4), word(2.2, 2.5), word(3.7, 3.9), word(6.0, 6.2), word(4.5, 4.5)]
    assert owners(words, turns) == ["SPEAKER_00", "SPEAKER_00", "SPEAKER_01", "SPEAKER_01", "SPEAKER_01"]


def test_speech_over_speech_is_marked() -> None:
    """A word is marked when somebody else speaks for half of it, whoever it belongs to."""
    turns = [Turn(0.0, 4.0, "a"), Turn(1.0, 2.0, "b")]
    attributed, _ = attribute([word(0.2, 0.8), word(1.2, 1.6), word(1.9, 2.4)], turns)
    assert [each.overlap for each in attributed] == [False, True, False]


def test_speakers_are_named_in_the_order_of_their_words() -> None:
    """A breath before the first word makes nobody the first speaker; who says nothing comes last."""
    turns = [Turn(5.0, 9.0, "x"), Turn(0.2, 0.22, "x"), Turn(1.0, 3.0, "y"), Turn(0.0, 0.1, "z")]
    attributed, named = attribute([word(1.0, 2.0), word(6.0, 7.0)], turns)
    assert [each.speaker for each in attributed] == ["SPEAKER_00", "SPEAKER_01"]
    assert [turn.speaker for turn in named] == ["SPEAKER_02", "SPEAKER_01", "SPEAKER_00", "SPEAKER_01"]
    assert [(each.id, each.seconds) for each in seconds(named)] == [("SPEAKER_00", 2.0), ("SPEAKER_01", 4.02), ("SPEAKER_02", 0.1)]


def test_without_turns_nobody_is_named() -> None:
    """Words stay as they are, and turns without words still have names."""
    words = [word(0.0, 1.0)]
    assert attribute(words, []) == (words, [])
    assert attribute([], [Turn(0.0, 1.0, "a")]) == ([], [Turn(0.0, 1.0, "SPEAKER_00")])
    assert seconds([]) == ()
