"""The best path through what a CTC model hears."""

import numpy as np
import pytest

from services.transcriber.engine.alignment.ctc import Emissions, Found, align, best_path
from services.transcriber.engine.media import SAMPLE_RATE, Waveform

ALPHABET = "-ab|"


def hears(frames: str) -> Emissions:
    """A model that is nearly sure of one token in each frame; `-` is the blank."""
    sure = np.full((len(frames), len(ALPHABET)), 0.01, np.float32)
    sure[range(len(frames)), [ALPHABET.index(mark) for mark in frames]] = 0.97
    return np.log(sure)


class Scripted:
    """Hears what it is told to, whatever the stretch."""

    name, blank = "scripted", 0

    def __init__(self, frames: str, separator: int | None = None, late: float = 0.0) -> None:
        self._frames, self.separator, self.late = frames, separator, late

    def tokens(self, word: str, language: str) -> list[int]:  # noqa: ARG002 - part of the interface
        return [ALPHABET.index(letter) for letter in word if letter in "ab"]

    def emissions(self, stretch: Waveform) -> Emissions:  # noqa: ARG002 - part of the interface
        return hears(self._frames)


def test_each_token_has_its_frames() -> None:
    """Repeated frames are one token, blanks belong to none."""
    path = best_path(hears("--aa-b--"), [1, 2], 0)
    assert path is not None
    assert path.tolist() == [[2, 4], [5, 6]]


def test_the_same_token_twice_needs_a_blank_between() -> None:
    """Two of a kind in a row are told apart, as CTC demands, even where the model heard no gap."""
    path = best_path(hears("aaaa"), [1, 1], 0)
    assert path is not None
    (first, middle), (gap, last) = path.tolist()
    assert (first, last) == (0, 4)
    assert gap > middle


@pytest.mark.parametrize(("frames", "tokens"), [("a", [1, 2]), ("aa", [1, 1])])
def test_too_many_tokens_for_the_frames(frames: str, tokens: list[int]) -> None:
    """What does not fit cannot be aligned."""
    assert best_path(hears(frames), tokens, 0) is None
    assert align(Scripted(frames), ["ab" * 9], "en", np.zeros(100, np.float32)) == [None]


def test_words_are_placed_in_seconds() -> None:
    """Frames become seconds of the stretch; a separator takes time, and none of it is a word's."""
    stretch = np.zeros(SAMPLE_RATE * 10 // 8, np.float32)
    assert align(Scripted("-ab--ba---"), [" ab", " ba"], "en", stretch) == [Found(0.125, 0.375), Found(0.625, 0.875)]
    assert align(Scripted("-ab||ba---", ALPHABET.index("|")), [" ab", " ba"], "en", stretch) == [Found(0.125, 0.375), Found(0.625, 0.875)]


def test_a_model_that_hears_late_is_corrected() -> None:
    """Starts move back, not before the stretch and not into the word before."""
    stretch = np.zeros(SAMPLE_RATE * 10 // 8, np.float32)
    found = align(Scripted("-abab-----", late=0.25), [" ab", " ab"], "en", stretch)
    assert found == [Found(0.0, 0.375), Found(0.375, 0.625)]


def test_a_word_that_the_model_does_not_know_is_left_out() -> None:
    """Its neighbours are aligned as if it were not there; nothing known at all is nothing found."""
    stretch = np.zeros(SAMPLE_RATE * 10 // 8, np.float32)
    assert align(Scripted("-ab--ba---"), ["ab", "你好", "ba"], "en", stretch) == [Found(0.125, 0.375), None, Found(0.625, 0.875)]
    assert align(Scripted("-ab--ba---"), ["你好", "…"], "en", stretch) == [None, None]
    assert align(Scripted("-ab--ba---"), [], "en", stretch) == []
