"""Redaction of a real conversation: what the text does not say any more cannot be heard in the recording's copy either."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from common import transcript
from common.lexicons.entries import Correction
from services.transcriber.engine.media import SAMPLE_RATE, Samples, decode
from services.transcriber.protocol import Done, Options, Partial, StageDone
from tests.integration.engine.child import Child
from tests.integration.engine.recorded import encode
from tests.integration.engine.test_transcripts import plain

# The conversation has no telephone number, so the lexicon makes one of a name: from there on everything is as it is with a spoken one.
OPTIONS = Options(language="en", redact=("phone",), corrections=(Correction("Diane", "415-555-2671"), Correction("Sheila", "415-555-2672")))


def power(samples: Samples, start: float, end: float) -> float:
    stretch = samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)].astype(np.float64)
    return float(np.mean(stretch**2))


def test_a_name_is_neither_read_nor_heard(engine: Child, conversation: Path) -> None:
    """The text has a label; the copy a tone there, and no change elsewhere; the engine, given the copy, does not hear the name."""
    request = engine.submit(conversation, OPTIONS)
    *events, answer = engine.until_answered(request)
    assert not [event for event in events if isinstance(event, Partial)]
    assert isinstance(answer, Done), answer
    assert [event.stage for event in events if isinstance(event, StageDone)][-2:] == ["postprocess", "redact"]
    document = Path(request.output).read_bytes()
    made = transcript.decode(document)
    assert "This is [PHONE] in New Jersey" in made.text
    assert len(made.redactions) >= 2
    assert b"iane" not in document
    assert made.original_text is None
    assert {word.original for segment in made.segments for word in segment.words} == {None}

    assert request.audio is not None
    before, after = decode(conversation).samples, decode(Path(request.audio)).samples
    assert abs(len(before) - len(after)) < 0.1 * SAMPLE_RATE
    tone = np.sin(2 * np.pi * 1000 * np.arange(SAMPLE_RATE // 10) / SAMPLE_RATE)
    for each in made.redactions:
        middle = (each.start + each.end) / 2
        stretch = after[round((middle - 0.05) * SAMPLE_RATE) :][: SAMPLE_RATE // 10].astype(np.float64)
        spectrum = np.abs(np.fft.rfft(stretch))
        assert np.argmax(spectrum) == np.argmax(np.abs(np.fft.rfft(tone)))
        assert spectrum[np.argmax(spectrum)] ** 2 > 0.4 * float(np.sum(spectrum**2))
    edges = [0.0, *(edge for each in made.redactions for edge in (each.start, each.end)), made.duration]
    for start, end in list(pairwise(edges))[::2]:
        if end - start > 0.5:
            assert power(after, start + 0.1, end - 0.1) == pytest.approx(power(before, start + 0.1, end - 0.1), rel=0.25)

    again = engine.transcribe(Path(request.audio), Options(language="en"))
    assert "new jersey" in plain(again.text)
    assert "this is diane" not in plain(again.text)


def test_a_language_that_redaction_does_not_understand(engine: Child, conversation: Path) -> None:
    """Nothing is written: neither a transcript nor a copy."""
    request = engine.submit(conversation, Options(language="fi", redact=("phone",)))
    failure = engine.until_answered(request)[-1]
    assert getattr(failure, "code", None) == "redaction_failed"
    assert request.audio is not None
    assert not Path(request.output).exists()
    assert not Path(request.audio).exists()


def test_a_recording_that_is_no_wav(engine: Child, tmp_path: Path, conversation: Path) -> None:
    """A stereo video's sound is redacted on both channels."""
    video = encode(tmp_path / "talk.mp4", decode(conversation).samples, "aac", rate=48_000, layout="stereo", video=True)
    request = engine.submit(video, OPTIONS)
    assert isinstance(engine.until_answered(request)[-1], Done)
    assert request.audio is not None
    assert "this is diane" not in plain(engine.transcribe(Path(request.audio), Options(language="en", channels="split")).text)
