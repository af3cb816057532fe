"""The redacted copy: a tone where it should be, all else as it was, whatever the recording is like."""

import wave
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from common.errors import PermanentError
from common.transcript import Redaction
from services.transcriber.engine.copier.copying import copy_redacted
from services.transcriber.engine.media import SAMPLE_RATE, decode
from tests.integration.engine.recorded import encode

REDACTED = (Redaction(1.0, 1.5, "phone"), Redaction(2.5, 9.0, "email"))


def record(path: Path, rate: int, channels: int, seconds: float = 3.0) -> Path:
    """A hum of 200 Hz on the first channel, 300 Hz on the second, and so on."""
    times = np.arange(int(seconds * rate)) / rate
    hums = np.stack([8_000 * np.sin(2 * np.pi * 100 * (number + 2) * times) for number in range(channels)], axis=1).astype(np.int16)
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", "not compressed"))
        file.writeframes(hums.tobytes())
    return path


def loudest(pcm: NDArray[np.float64], rate: int, start: float, end: float) -> float:
    """The loudest frequency of a stretch, in Hz."""
    stretch = pcm[round(start * rate) : round(end * rate)]
    return float(np.argmax(np.abs(np.fft.rfft(stretch))) * rate / len(stretch))


def heard(path: Path) -> tuple[list[NDArray[np.float64]], int]:
    with av.open(path) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        return list(np.concatenate(frames, axis=1).astype(np.float64)), container.streams.audio[0].rate


@pytest.mark.parametrize(
    ("rate", "channels", "expected_rate", "expected_channels"),
    [
        (8_000, 1, 8_000, 1),
        (44_100, 2, 44_100, 2),
        (96_000, 1, 48_000, 1),
        (13_000, 2, 16_000, 2),
        (48_000, 6, 48_000, 2),
        (16_000, 9, 16_000, 1),
    ],
)
def test_tones_on_every_channel(tmp_path: Path, rate: int, channels: int, expected_rate: int, expected_channels: int) -> None:
    """Rates and channels are kept as far as MP3 has them; a redaction past the end ends with the recording."""
    output = tmp_path / "copy.mp3"
    copy_redacted(record(tmp_path / "in.wav", rate, channels), output, REDACTED, 3.0)
    lanes, found = heard(output)
    assert (found, len(lanes)) == (expected_rate, expected_channels)
    for lane in lanes:
        assert len(lane) == pytest.approx(3.0 * found, abs=0.1 * found)
        for start, end in ((1.1, 1.4), (2.6, 2.9)):
            assert loudest(lane, found, start, end) == pytest.approx(1_000, abs=10)
        for start, end in ((0.2, 0.8), (1.7, 2.3)):
            assert loudest(lane, found, start, end) < 900


def test_two_channels_stay_two(tmp_path: Path) -> None:
    """Each keeps its own sound."""
    output = tmp_path / "copy.mp3"
    copy_redacted(record(tmp_path / "in.wav", 16_000, 2), output, REDACTED, 3.0)
    lanes, rate = heard(output)
    assert [round(loudest(lane, rate, 0.2, 0.8), -1) for lane in lanes] == [200, 300]


def test_nothing_to_redact_is_a_copy_all_the_same(tmp_path: Path) -> None:
    """The original goes, so something must stay."""
    output = tmp_path / "copy.mp3"
    copy_redacted(record(tmp_path / "in.wav", 16_000, 1), output, (), 3.0)
    [lane], rate = heard(output)
    assert loudest(lane, rate, 0.2, 2.8) == pytest.approx(200, abs=5)


def test_a_copy_of_another_length_is_none(tmp_path: Path) -> None:
    """Its times would not be the transcript's."""
    with pytest.raises(PermanentError) as caught:
        copy_redacted(record(tmp_path / "in.wav", 16_000, 1), tmp_path / "copy.mp3", REDACTED, 4.0)
    assert caught.value.code == "redaction_failed"


def test_a_copy_has_the_recordings_silences(tmp_path: Path) -> None:
    """Words have the times of the file, and so do tones."""
    times = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    hum = (8_000 * np.sin(2 * np.pi * 200 * times)).astype(np.int16)
    source = encode(tmp_path / "late.mkv", hum, "pcm_s16le", video=True, leaps={-1.0: 2.0, 1.0: 4.0})
    copy_redacted(source, tmp_path / "copy.mp3", (Redaction(7.2, 7.8, "phone"),), decode(source).seconds)
    [lane], rate = heard(tmp_path / "copy.mp3")
    assert len(lane) == pytest.approx(9 * rate, abs=0.1 * rate)
    assert [np.abs(lane[round(at * rate) :][: rate // 2]).max() < 0.01 for at in (1.0, 2.2, 4.0, 8.2)] == [True, False, True, False]
    assert loudest(lane, rate, 7.3, 7.7) == pytest.approx(1_000, abs=10)
    assert loudest(lane, rate, 8.2, 8.8) == pytest.approx(200, abs=10)


def test_copying_can_be_followed_and_ended(tmp_path: Path) -> None:
    """Progress grows to nearly one; who hears of it may end the work."""
    source = record(tmp_path / "in.wav", 48_000, 1, seconds=30.0)
    fractions: list[float] = []
    copy_redacted(source, tmp_path / "copy.mp3", (), 30.0, fractions.append)
    assert fractions == sorted(fractions)
    assert len(fractions) > 10
    assert 0.9 < fractions[-1] <= 1

    def cancel(_fraction: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        copy_redacted(source, tmp_path / "half.mp3", (), 30.0, cancel)


def test_a_disk_that_is_full_is_not_the_recordings_fault(tmp_path: Path) -> None:
    """Another attempt may find room."""
    source = record(tmp_path / "long.wav", 16_000, 1, seconds=30.0)
    with pytest.raises(OSError, match="No space left"):
        copy_redacted(source, Path("/dev/full"), REDACTED, 30.0)
