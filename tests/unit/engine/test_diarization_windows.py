"""A recording in windows."""

import numpy as np
import pytest

from services.transcriber.engine.diarization.windows import Windows
from services.transcriber.engine.heard import Span
from services.transcriber.engine.media import SAMPLE_RATE


def windows(seconds: float) -> Windows:
    return Windows(np.arange(int(seconds * SAMPLE_RATE)).astype(np.int16), 10 * SAMPLE_RATE, SAMPLE_RATE)


@pytest.mark.parametrize(("seconds", "count"), [(0.5, 1), (10.0, 1), (10.5, 2), (11.0, 2), (30.0, 21)])
def test_windows_cover_all_of_it(seconds: float, count: int) -> None:
    """A recording shorter than a window is one; a rest that fills no step has one more."""
    assert len(windows(seconds)) == count


def test_silence_follows_the_end() -> None:
    """The last window is as long as any other."""
    batch = windows(10.5).stack([1])
    assert batch.shape == (1, 1, 10 * SAMPLE_RATE)
    assert batch[0, 0, -SAMPLE_RATE // 2 :].max() == 0.0
    assert batch[0, 0, 1] == pytest.approx((SAMPLE_RATE + 1) / 32768)


def test_only_windows_with_speech_are_heard() -> None:
    """Windows that touch speech are chosen, whole or in part; those between are not."""
    spans = [Span(2.0, 3.0), Span(25.5, 26.0)]
    expected = [number for number in range(31) if any(span.start < number + 10 and number < span.end for span in spans)]
    assert windows(40.0).with_speech(spans) == expected
    assert windows(40.0).with_speech([]) == []
