"""Words in time: what attention says is trimmed to sound, let ring out, and put in order."""

import random

import numpy as np
import pytest

from services.transcriber.engine.heard import Chunk, HeardWord, Span
from services.transcriber.engine.media import SAMPLE_RATE, Samples, waveform
from services.transcriber.engine.words import SHORTEST, Times, audible, fill, in_order, place, ring_in, ring_out, spread, trim


def sound(pattern: str) -> "np.typing.NDArray[np.bool_]":
    """One character for 100 ms: `#` can be heard, `.` cannot."""
    return np.repeat(np.array([mark == "#" for mark in pattern]), 10)


def recording(pattern: str, gain: float = 1.0) -> Samples:
    """A tone where the pattern says `#`, near silence elsewhere; one character for 100 ms."""
    time = np.arange(len(pattern) * SAMPLE_RATE // 10) / SAMPLE_RATE
    loud = np.repeat([mark == "#" for mark in pattern], SAMPLE_RATE // 10)
    return (np.sin(2 * np.pi * 220 * time) * np.where(loud, 10_000, 15) * gain).astype(np.int16)


def chunk(words: tuple[HeardWord, ...], end: float, *speech: Span) -> Chunk:
    return Chunk(Span(0.0, end), speech, words, "en")


def test_a_word_beside_a_pause_gives_the_pause_back() -> None:
    """A word that swallowed the silence before or after it keeps the part that can be heard."""
    assert trim(0.0, 1.0, sound(".....###..")) == (0.5, 0.8)


def test_a_short_gap_inside_a_word_belongs_to_it() -> None:
    """The closure before a plosive does not cut a word in two."""
    assert trim(0.0, 1.0, sound("..##.###..")) == (0.2, 0.8)


def test_a_neighbours_tail_is_left_behind() -> None:
    """Across a real pause a word is the last stretch of sound, however long the word before goes on; a click is no word."""
    assert trim(0.0, 1.2, sound("#....#####..")) == (0.5, 1.0)
    assert trim(0.0, 1.2, sound("#####....##.")) == (0.9, 1.1)
    click = sound("#####.......")
    click[100:104] = True
    assert trim(0.0, 1.2, click) == (0.0, 0.5)


def test_a_word_in_silence_keeps_its_times() -> None:
    """Where nothing can be heard there is nothing better than what attention said."""
    assert trim(0.2, 0.6, sound("........")) == (0.2, 0.6)


def test_an_end_rings_out_until_silence() -> None:
    """A word's end moves to where the sound stops."""
    assert ring_out([(0.0, 0.3)], sound("####....")) == [(0.0, 0.4)]


def test_an_end_rings_out_no_further_than_the_next_word() -> None:
    """The next word's start is never passed, and no end moves by more than the limit."""
    assert ring_out([(0.0, 0.3), (0.4, 0.5)], sound("##########")) == [(0.0, 0.4), (0.4, 0.7)]


def test_a_start_moves_back_to_where_the_sound_begins() -> None:
    """A forced aligner is a little late: a start moves to an onset that is near; where sound went on before it, it stays."""
    assert ring_in([(0.25, 0.5)], sound("..####...."))[0][0] == pytest.approx(0.2)
    assert ring_in([(0.25, 0.5)], sound("######...."))[0][0] == 0.25


def test_a_start_never_moves_into_the_word_before() -> None:
    """Words that follow each other closely keep their border."""
    assert ring_in([(0.1, 0.3), (0.3, 0.5)], sound("#####"))[1] == (0.3, 0.5)


def test_words_that_the_aligner_does_not_know_share_the_gap() -> None:
    """Between two aligned words by length; before the first and after the last from and to the chunk's edge."""
    around = chunk((), 4.0)
    assert fill([(0.0, 1.0), None, None, (2.0, 3.0)], [1, 1, 3, 1], around) == [(0.0, 1.0), (1.0, 1.25), (1.25, 2.0), (2.0, 3.0)]
    assert fill([None, (2.0, 3.0), None], [4, 1, 4], around) == [(0.0, 2.0), (2.0, 3.0), (3.0, 4.0)]
    assert fill([(0.0, 2.0), None, (1.0, 3.0)], [1, 1, 1], around)[1] == (2.0, 2.0)


def test_the_threshold_lies_between_quiet_and_loud() -> None:
    """Speech can be heard over a noise floor, whatever the recording's level."""
    pattern = "...####...##...."
    for gain in (0.05, 1.0):
        heard = audible(waveform(recording(pattern, gain)))
        assert [bool(heard[i * 10 + 5]) for i in range(len(pattern))] == [mark == "#" for mark in pattern]


def test_no_sample_no_sound() -> None:
    """A chunk shorter than 10 ms has nothing to measure."""
    assert len(audible(np.zeros(100, np.float32))) == 0


def test_any_times_come_out_in_order() -> None:
    """Whatever goes in: inside the bounds, no overlap, none shorter than the shortest or an even share of tight bounds."""
    chance = random.Random(7)  # noqa: S311 - the same every time, on purpose
    for _ in range(500):
        bounds = Span(10.0, 10.0 + chance.choice([0.05, 0.5, 5.0]))
        times: Times = [(t, t + chance.uniform(-0.2, 0.5)) for t in (chance.uniform(9, 16) for _ in range(chance.randint(0, 20)))]
        ordered = in_order(times, bounds)
        least = min(SHORTEST, (bounds.end - bounds.start) / max(1, len(times)))
        edges = [bounds.start, *(edge for pair in ordered for edge in pair), bounds.end]
        assert edges == sorted(edges)
        assert all(end - start >= least - 0.0015 for start, end in ordered)


def test_whatever_an_aligner_says_words_are_in_order() -> None:
    """Numbers, currency, other scripts: known to the aligner or not, every word has its time, inside the chunk, after the one before."""
    chance = random.Random(11)  # noqa: S311 - the same every time, on purpose
    texts = [" a", " $12.50", " 你好", " مرحبا", " שלום", "—", " don't", " Ünïcödé", " ३४", " 🎉"]
    samples = recording("".join(chance.choice("#.") for _ in range(100)))
    for _ in range(200):
        start = chance.uniform(0, 5)
        end = start + chance.choice([0.05, 0.5, 5.0])
        heard = Chunk(
            Span(start, end), (), tuple(HeardWord(chance.choice(texts), 0.5, 0.0, 0.1) for _ in range(chance.randint(1, 30))), "en"
        )
        times = [(t, t + chance.uniform(0, 0.5)) if chance.random() < 0.7 else None for t in (chance.uniform(0, 6) for _ in heard.words)]
        placed = place(heard, samples, times)
        edges = [start - 0.001, *(edge for word in placed for edge in (word.start, word.end)), end + 0.001]
        assert edges == sorted(edges)
        assert [word.text for word in placed] == [word.text for word in heard.words]
        if any(times):
            assert [word.timing for word in placed] == ["aligned" if each else "interpolated" for each in times]


def test_good_times_stay_as_they_are() -> None:
    """Times that are in order are only rounded to milliseconds."""
    assert in_order([(1.0, 1.5), (1.50004, 2.0), (2.5, 2.6)], Span(0.0, 3.0)) == [(1.0, 1.5), (1.5, 2.0), (2.5, 2.6)]


def test_words_without_times_share_the_speech() -> None:
    """Interpolated words fill the speech by their length and skip the pauses."""
    words = (HeardWord(" aaaa", 0.9), HeardWord(" bbbb", 0.9), HeardWord(" cccccccc", 0.9))
    times = spread(chunk(words, 10.0, Span(0.0, 2.0), Span(8.0, 10.0)))
    assert times == [(0.0, 1.0), (1.0, 2.0), (8.0, 10.0)]


def test_one_word_without_a_time_makes_the_chunk_interpolated() -> None:
    """The words of one chunk got their times the same way, and say which."""
    words = (HeardWord(" one", 0.9, 0.0, 0.5), HeardWord(" two", 0.9))
    assert [word.timing for word in place(chunk(words, 1.0), recording("##########"))] == ["interpolated"] * 2


def test_nothing_heard_is_nothing_placed() -> None:
    """A chunk in which the model heard no word, as in music, is no error."""
    assert place(chunk((), 1.0), recording("##########")) == []


def test_attended_words_are_placed_in_the_recording() -> None:
    """Times count from the start of the recording, not of the chunk, and hug the sound."""
    heard = Chunk(Span(1.0, 2.0), (), (HeardWord(" one", 0.9, 0.0, 0.45), HeardWord(" two", 0.8, 0.45, 1.0)), "en")
    one, two = place(heard, recording("............##...###.."))
    assert [one.start, one.end, two.start, two.end] == pytest.approx([1.2, 1.4, 1.7, 2.0], abs=0.02)
    assert [(word.text, word.score, word.timing) for word in (one, two)] == [(" one", 0.9, "asr"), (" two", 0.8, "asr")]
