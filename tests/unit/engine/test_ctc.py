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


class Steady:
    """Hears "a" in the frames of 100 ms that are loud, and notes how long the stretches are that it is given."""

    name, blank, late = "steady", 0, 0.0
    separator: int | None = None

    def __init__(self) -> None:
        self.given: list[float] = []

    def tokens(self, word: str, language: str) -> list[int]:  # noqa: ARG002 - part of the interface
        return [1] * len(word)

    def emissions(self, stretch: Waveform) -> Emissions:
        self.given.append(len(stretch) / SAMPLE_RATE)
        frames = stretch[: len(stretch) // 1600 * 1600].reshape(-1, 1600).max(axis=1)
        return hears("".join("a" if loud else "-" for loud in frames > 0))


def test_a_long_stretch_is_heard_in_windows() -> None:
    """Models hear half a minute at a time; words are found in all of it, each once, also where windows meet."""
    said = [2.0, 27.0, 28.0, 29.0, 53.5, 54.5, 79.0]
    stretch = np.zeros(80 * SAMPLE_RATE, np.float32)
    for second in said:
        stretch[int(second * SAMPLE_RATE) : int((second + 0.3) * SAMPLE_RATE)] = 1.0
    model = Steady()
    found = align(model, ["a"] * len(said), "en", stretch)
    assert max(model.given) <= 30
    assert [each and each.start for each in found] == pytest.approx(said, abs=0.11)
    assert [each and each.end for each in found] == pytest.approx([second + 0.3 for second in said], abs=0.11)


def test_what_would_not_fit_into_memory_is_not_tried() -> None:
    """An hour without a pause is not aligned; its words keep the times that they have."""
    assert best_path(np.zeros((180_000, 2), np.float32), [1] * 1000, 0) is None


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
