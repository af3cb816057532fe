"""What the engine may take, and what a stage that takes more means."""

from datetime import timedelta

import pytest

from services.transcriber.limits import Limits, decoder_overrun, job_overrun, memory_overrun, stage_overrun
from services.transcriber.protocol import Stage

LIMITS = Limits(job=timedelta(hours=1), decode=timedelta(seconds=30), stage=timedelta(seconds=100), stage_ratio=2.0)


@pytest.mark.parametrize(
    ("stage", "recording", "seconds"),
    [
        ("decode", 0.0, 30),
        ("decode", 9_000.0, 30),
        ("vad", 1.0, 100),
        ("transcribe", 50.0, 100),
        ("align", 51.0, 102),
        ("diarize", 3_600.0, 7_200),
    ],
)
def test_a_stages_limit_grows_with_the_recording(stage: Stage, recording: float, seconds: float) -> None:
    """From a floor; decoding has its own."""
    assert LIMITS.seconds(stage, recording) == seconds


def test_what_would_happen_again_is_permanent() -> None:
    """The same file is decoded in the same way, and all stages together take as long; a model's stage may hang once and not again."""
    assert {error.code for error in (job_overrun(LIMITS), stage_overrun("decode", 30), stage_overrun("align", 100))} == {"time_limit"}
    assert not job_overrun(LIMITS).transient
    assert not stage_overrun("decode", 30).transient
    assert stage_overrun("align", 100).transient
    assert (memory_overrun("align", 2**30).code, memory_overrun("align", 2**30).transient) == ("memory_limit", True)
    assert (decoder_overrun(2**30).code, decoder_overrun(2**30).transient) == ("memory_limit", False)


def test_a_stages_memory_is_its_own_or_the_engines() -> None:
    """What is said for a stage goes before what is said for all; nothing said is no limit."""
    free = Limits(job=timedelta(hours=1))
    assert (free.bound_memory, free.bytes("align")) == (False, None)
    limits = Limits(job=timedelta(hours=1), memory=8 * 2**30, stage_memory={"diarize": 2**30})
    assert (limits.bytes("diarize"), limits.bytes("align")) == (2**30, 8 * 2**30)
    assert Limits(job=timedelta(hours=1), stage_memory={"diarize": 2**30}).bound_memory


def test_what_is_stopped_is_named() -> None:
    """With the stage, its limit, and what can be done."""
    assert memory_overrun("diarize", 2**30).message == (
        "The stage 'diarize' took more memory than the limit of 1024 MB and was stopped; a shorter recording takes less."
    )
    assert stage_overrun("align", 100).message == (
        "The stage 'align' took longer than the limit of 100 seconds and was stopped; a shorter recording takes less."
    )


def test_the_engine_is_given_time_to_end_its_decoder() -> None:
    """At the limit the engine ends the decoder; it is ended itself only when it does not."""
    assert LIMITS.patience("decode", 0.0) > LIMITS.seconds("decode", 0.0)
    assert LIMITS.patience("align", 51.0) == LIMITS.seconds("align", 51.0)
