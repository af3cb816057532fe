"""Where uploads are cut."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from services.transcriber.engine.heard import Span
from services.transcriber.engine.media import SAMPLE_RATE, decode
from services.transcriber.engine.remote.parts import Part, parts
from services.transcriber.engine.remote.upload import flac, longest

NOISE = np.random.default_rng(3).integers(-20_000, 20_000, 60 * SAMPLE_RATE).astype(np.int16)


def times(found: list[Part]) -> list[tuple[float, float]]:
    return [(part.span.start, part.span.end) for part in found]


def test_what_fits_is_one_upload() -> None:
    """From the first word to the last, silence around it left out."""
    speech = [Span(2.0, 5.0), Span(7.0, 9.0)]
    assert parts(speech, NOISE, 10.0) == [Part(Span(2.0, 9.0), tuple(speech))]


def test_the_longest_pause_is_the_place_to_cut() -> None:
    """Of those in the second half of what fits; a short one beside it and an earlier, longer one are not."""
    speech = [Span(0.0, 1.0), Span(3.0, 6.0), Span(6.3, 7.0), Span(8.0, 9.0), Span(9.1, 12.0)]
    assert times(parts(speech, NOISE, 10.0)) == [(0.0, 7.0), (8.0, 12.0)]


def test_without_a_pause_the_quietest_place_is_cut() -> None:
    """And nothing is lost: the parts touch."""
    samples = NOISE.copy()
    samples[int(8.0 * SAMPLE_RATE) : int(8.1 * SAMPLE_RATE)] //= 1_000
    [one, other] = parts([Span(0.0, 8.5), Span(8.5, 15.0)], samples, 10.0)
    assert one.span.end == other.span.start == pytest.approx(8.05, abs=0.05)
    assert other.span.end == 15.0


def test_long_silence_is_not_sent() -> None:
    """Half a minute without a word ends an upload although there is room."""
    assert times(parts([Span(0.0, 5.0), Span(35.0, 40.0)], NOISE, 100.0)) == [(0.0, 5.0), (35.0, 40.0)]


def test_endless_speech_is_cut_again_and_again() -> None:
    """Every part fits, and together they are all that was said."""
    found = parts([Span(float(second), second + 1.0) for second in range(60)], NOISE, 7.0)
    assert all(part.span.end - part.span.start <= 7.0 for part in found)
    assert all(one.span.end == next_.span.start for one, next_ in pairwise(found))
    assert (found[0].span.start, found[-1].span.end) == (0.0, 60.0)


def test_the_shortest_upload_is_long_enough(tmp_path: Path) -> None:
    """OpenAI refuses less than a tenth of a second."""
    (tmp_path / "a.flac").write_bytes(flac(NOISE[:100]))
    assert decode(tmp_path / "a.flac").seconds == 0.5


def test_an_upload_fits_whatever_it_sounds_like() -> None:
    """White noise is what FLAC cannot compress."""
    most = 300_000
    assert len(flac(NOISE[: int(longest(most) * SAMPLE_RATE)])) <= most
