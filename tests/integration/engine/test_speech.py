"""Finding speech with the real detector."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from services.transcriber.engine.heard import Span
from services.transcriber.engine.media import SAMPLE_RATE, Audio, Samples, Tape, decode
from services.transcriber.engine.speech import CHUNK_SECONDS, Tuning, find_speech, whole


@pytest.fixture(scope="session")
def samples(conversation: Path) -> Samples:
    return decode(conversation).samples


def ignore(_fraction: float) -> None:
    """Progress that nobody looks at."""


def test_speech_is_found_where_it_is(samples: Samples) -> None:
    """The conversation starts after 6.7 seconds of line noise."""
    speech = find_speech(samples, ignore)
    assert speech[0].start == pytest.approx(6.5, abs=0.3)
    assert sum(span.end - span.start for span in speech) > 20


def test_windows_do_not_cut_speech(samples: Samples) -> None:
    """A recording is detected window by window with the same outcome as at once, but for the detector's start-up at each edge."""
    at_once, by_window = find_speech(samples, ignore), find_speech(samples, ignore, window=12.0)
    assert all(one.end <= next_.start for one, next_ in pairwise(by_window))
    assert not {12.0, 24.0} & {edge for span in by_window for edge in (span.start, span.end)}
    assert covered(by_window) == pytest.approx(covered(at_once), abs=1.0)


def test_speech_that_begins_with_a_window_has_its_padding(samples: Samples) -> None:
    """What is just before the first word is in the window before, and is heard with it nevertheless."""
    begin = find_speech(samples, ignore)[0].start
    [first, *_] = find_speech(samples, ignore, window=begin + 0.12)
    assert first.start == pytest.approx(begin, abs=0.05)


def covered(spans: list[Span]) -> float:
    return sum(span.end - span.start for span in spans)


def test_nothing_is_longer_than_whisper_hears(samples: Samples) -> None:
    """Speech without a pause is cut before the 30 seconds are full."""
    endless = np.tile(samples[int(21.9 * SAMPLE_RATE) : int(27.3 * SAMPLE_RATE)], 12)
    assert max(span.end - span.start for span in find_speech(endless, ignore)) <= CHUNK_SECONDS


def test_the_submitter_tunes_the_detector(samples: Samples) -> None:
    """A stricter threshold finds less; a longer silence that still belongs to speech makes fewer stretches, covering more.

    More padding begins them earlier.
    """
    usual = find_speech(samples, ignore)
    assert covered(find_speech(samples, ignore, Tuning(threshold=0.9))) < covered(usual)
    joined = find_speech(samples, ignore, Tuning(min_silence=2.0))
    assert len(joined) < len(usual)
    assert covered(joined) > covered(usual)
    first, padded = usual[0], find_speech(samples, ignore, Tuning(padding=0.6))[0]
    assert padded.start == pytest.approx(first.start - 0.4, abs=0.01)


def test_silence_holds_no_speech() -> None:
    """Neither silence nor nothing at all is taken for speech, and progress reaches its end."""
    progress: list[float] = []
    assert find_speech(np.zeros(5 * SAMPLE_RATE, np.int16), progress.append) == []
    assert find_speech(np.zeros(100, np.int16), ignore) == []
    assert progress[-1] == 1.0


def noise(seconds: float) -> Samples:
    return np.random.default_rng(5).integers(-9_000, 9_000, int(seconds * SAMPLE_RATE)).astype(np.int16)


def test_without_a_detector_all_of_it_is_speech() -> None:
    """The pieces follow each other without a gap, to the last sample, and part where it is quiet: nobody's word is cut in two."""
    samples = noise(75.5)
    samples[int(27.0 * SAMPLE_RATE) : int(27.2 * SAMPLE_RATE)] //= 100
    spans = whole(Audio(samples, damaged=False))
    assert (spans[0].start, spans[-1].end) == (0.0, 75.5)
    assert all(one.end == next_.start for one, next_ in pairwise(spans))
    assert max(span.end - span.start for span in spans) <= CHUNK_SECONDS
    assert spans[0].end == pytest.approx(27.1, abs=0.1)
    assert whole(Audio(noise(30), damaged=False)) == [Span(0.0, 30.0)]


def test_without_a_detector_the_silence_between_channels_is_none() -> None:
    """On a tape of channels only the channels are heard."""
    tape = Audio(noise(240), damaged=False, tape=Tape((0, 1), seconds=40.0, stride=120.0))
    one, two, three, four = whole(tape)
    assert (one.start, two.end, three.start, four.end) == (0.0, 40.0, 120.0, 160.0)
    assert (one.end, three.end) == (two.start, four.start)
