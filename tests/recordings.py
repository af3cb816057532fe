"""Real recordings for tests."""

import io
import wave
from importlib.util import find_spec
from pathlib import Path


def sample(copies: int = 1) -> bytes:
    """The telephone conversation of Diane and Sheila that pyannote.audio ships: 30 s of 16 kHz mono WAV, `copies` times in a row."""
    spec = find_spec("pyannote.audio")
    assert spec is not None
    assert spec.origin is not None
    data = (Path(spec.origin).parent / "sample" / "sample.wav").read_bytes()
    if copies == 1:
        return data
    with wave.open(io.BytesIO(data)) as one:
        parameters, frames = one.getparams(), one.readframes(one.getnframes())
    assert (parameters.framerate, parameters.nchannels, parameters.sampwidth) == (16_000, 1, 2)
    return wav(frames * copies)


def turns() -> list[tuple[float, float, str]]:
    """Who speaks in `sample` and when: start, end (seconds) and speaker, from the reference beside it."""
    spec = find_spec("pyannote.audio")
    assert spec is not None
    assert spec.origin is not None
    lines = (Path(spec.origin).parent / "sample" / "sample.rttm").read_text().splitlines()
    fields = [line.split() for line in lines]
    return [(float(each[3]), float(each[3]) + float(each[4]), each[7]) for each in fields]


def wav(frames: bytes, channels: int = 1) -> bytes:
    """A WAV file of 16 kHz 16-bit samples, those of several channels interleaved."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((channels, 2, 16_000, 0, "NONE", "not compressed"))
        writer.writeframes(frames)
    return file.getvalue()
