"""Which aligner places a chunk's words, and what happens when none can."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from common.errors import TransientError
from services.transcriber.engine.alignment.alignment import OWN, RETRY_SECONDS, Alignment, Placed
from services.transcriber.engine.alignment.ctc import CtcModel, Emissions
from services.transcriber.engine.heard import Chunk, Heard, HeardWord, Span
from services.transcriber.engine.media import SAMPLE_RATE, Waveform

NOISE = np.random.default_rng(1).normal(0, 3000, 4 * SAMPLE_RATE).astype(np.int16)


class Toy:
    """Knows the letters a and b, and hears them in the first second."""

    name, blank, late = "toy", 0, 0.0
    separator: int | None = None

    def tokens(self, word: str, language: str) -> list[int]:  # noqa: ARG002 - part of the interface
        return ["_ab".index(letter) for letter in word if letter in "ab"]

    def emissions(self, stretch: Waveform) -> Emissions:
        sure = np.full((len(stretch) // 1600, 3), 0.01, np.float32)
        sure[:, 0], sure[2], sure[5] = 0.98, [0.01, 0.98, 0.01], [0.01, 0.01, 0.98]
        return np.log(sure)


class Broken(Toy):
    """Fails on whatever it hears."""

    def __init__(self, reason: Exception) -> None:
        self._reason = reason

    def emissions(self, stretch: Waveform) -> Emissions:  # noqa: ARG002 - part of the interface
        raise self._reason


class Only:
    """Has a model for one language, and counts how often it is asked."""

    def __init__(self, language: str, model: CtcModel | Exception) -> None:
        self._language, self._model, self.asked = language, model, 0

    @contextmanager
    def use(self, language: str) -> Iterator[CtcModel | None]:
        self.asked += 1
        if isinstance(self._model, Exception):
            raise self._model
        yield self._model if language == self._language else None


def heard(*languages: str) -> Heard:
    """A chunk of two seconds in each of the languages, with the same two words."""
    words = (HeardWord(" a", 0.9, 1.0, 1.2), HeardWord(" b", 0.8, 1.4, 1.6))
    chunks = (Chunk(Span(2.0 * i, 2.0 * i + 2), (), words, language) for i, language in enumerate(languages))
    return Heard(tuple(chunks), languages[0], 1.0)


def place(alignment: Alignment, what: Heard) -> Placed:
    return alignment.place(what, NOISE, lambda _fraction: None)


def test_each_chunk_has_the_aligner_of_its_language() -> None:
    """A language that no aligner knows keeps attention's times; both are told, with the recording's own clock."""
    placed = place(Alignment([Only("en", Toy())]), heard("en", "sw"))
    assert [word.timing for word in placed.words] == ["aligned", "aligned", "asr", "asr"]
    assert placed.aligners == ("toy", OWN)
    assert placed.notes == ()
    assert placed.best
    assert 0.1 < placed.words[0].start < 0.25
    assert 2.9 < placed.words[2].start < 3.1


def test_the_first_that_knows_the_language_is_taken() -> None:
    """Those that are preferred are asked first."""
    placed = place(Alignment([Only("de", Toy()), Only("en", Toy())]), heard("en"))
    assert placed.aligners == ("toy",)


def test_an_aligner_that_fails_costs_its_chunk_only_exactness() -> None:
    """The chunk keeps attention's times, and the transcript says so."""
    placed = place(Alignment([Only("en", Broken(ValueError("no")))]), heard("en"))
    assert [word.timing for word in placed.words] == ["asr", "asr"]
    assert [note.code for note in placed.notes] == ["alignment_failed"]
    assert placed.aligners == (OWN,)
    assert not placed.best


@pytest.mark.parametrize("reason", [TransientError("model_fetch_failed", "The hub is away."), RuntimeError("invalid hash value")])
def test_an_aligner_that_cannot_be_had_is_not_asked_for_again_for_a_while(reason: Exception) -> None:
    """The next in line takes over; every transcript it concerns says so, but the download is not tried by each of them."""
    missing, now = Only("en", reason), [0.0]
    alignment = Alignment([missing, Only("en", Toy())], clock=lambda: now[0])
    for moment, asked in ((0.0, 1), (RETRY_SECONDS - 1, 1), (RETRY_SECONDS, 2)):
        now[0] = moment
        placed = place(alignment, heard("en"))
        assert [note.code for note in placed.notes] == ["aligner_unavailable"]
        assert not placed.best
        assert placed.aligners == ("toy",)
        assert missing.asked == asked


def test_a_device_that_failed_is_not_hidden() -> None:
    """Neither loading nor aligning goes on after it: only a new process helps."""
    failed = RuntimeError("CUDA error: an illegal memory access was encountered")
    for models in (Only("en", failed), Only("en", Broken(failed))):
        with pytest.raises(RuntimeError, match="illegal memory access"):
            place(Alignment([models]), heard("en"))


def test_words_without_any_times_are_interpolated() -> None:
    """Without an aligner and without attention there are still times, and no aligner is named."""
    chunk = Chunk(Span(0.0, 2.0), (), (HeardWord(" a", 0.9), HeardWord(" b", 0.8)), "en")
    placed = place(Alignment(()), Heard((chunk,), "en", 1.0))
    assert [word.timing for word in placed.words] == ["interpolated", "interpolated"]
    assert placed.aligners == ()
