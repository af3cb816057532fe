"""How the demo shows a transcript."""

import wave

import pytest

from deploy.local.demo import line, sample, timestamp


@pytest.mark.parametrize(("seconds", "text"), [(0, "00:00.0"), (7.46, "00:07.5"), (59.97, "01:00.0"), (3661.2, "1:01:01.2")])
def test_times_are_minutes_and_tenths(seconds: float, text: str) -> None:
    """Rounded to a tenth, carried over, with hours only when there are any."""
    assert timestamp(seconds) == text


def test_a_line_names_the_speaker_when_known() -> None:
    """A segment without a speaker is shown without one."""
    assert line({"start": 7.5, "text": " Hello?", "speaker": "SPEAKER_00"}) == "[00:07.5] SPEAKER_00: Hello?"
    assert line({"start": 7.5, "text": " Hello?", "speaker": None}) == "[00:07.5] Hello?"


def test_the_sample_is_a_real_recording() -> None:
    """It lies in an installed package, half a minute long."""
    with wave.open(str(sample())) as recording:
        assert 20 < recording.getnframes() / recording.getframerate() < 60
