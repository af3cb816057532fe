"""What a transcriber tells Prometheus: how attempts end, how much audio is transcribed, and what the engine's time goes into."""

from collections.abc import Iterable
from typing import Literal

from prometheus_client import Counter

from services.transcriber.protocol import StageDone

Outcome = Literal["completed", "lost", "released", "retried", "failed"]
"""`lost`: the job was cancelled, deleted or given to another worker meanwhile; `released`: our own shutdown."""

_ATTEMPTS = Counter("verbatim_attempts_total", "Attempts at jobs that have ended", ["outcome"])
_AUDIO = Counter("verbatim_audio_seconds_total", "Seconds of audio in completed jobs")
_ENGINE = Counter("verbatim_engine_seconds_total", "Wall seconds of the engine's stages", ["stage"])
_SECOND_NS = 1_000_000_000


def ended(outcome: Outcome) -> None:
    """An attempt is over."""
    _ATTEMPTS.labels(outcome).inc()


def transcribed(seconds: float) -> None:
    """A job with so much audio is completed."""
    ended("completed")
    _AUDIO.inc(seconds)


def worked(stages: Iterable[StageDone]) -> None:
    """The engine has done these. What was done for several requests at once is shared out among them: each of them tells of it."""
    for stage in stages:
        _ENGINE.labels(stage.stage).inc(max(0, stage.end_ns - stage.start_ns) / _SECOND_NS / stage.together)
