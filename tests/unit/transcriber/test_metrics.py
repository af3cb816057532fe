"""What Prometheus is told of attempts."""

import pytest
from prometheus_client import REGISTRY

from services.transcriber import metrics
from services.transcriber.protocol import StageDone


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_attempts_audio_and_stages_are_counted() -> None:
    """A completed job counts with its audio; a stage with its seconds, once for all that had it together, and never backwards."""
    before = value("verbatim_attempts_total", outcome="completed"), value("verbatim_audio_seconds_total")
    metrics.transcribed(30.0)
    assert value("verbatim_attempts_total", outcome="completed") == before[0] + 1
    assert value("verbatim_audio_seconds_total") == pytest.approx(before[1] + 30)
    engine = value("verbatim_engine_seconds_total", stage="vad")
    metrics.worked([StageDone("a", "vad", 0, 1_500_000_000), StageDone("a", "vad", 9, 0)])
    assert value("verbatim_engine_seconds_total", stage="vad") == pytest.approx(engine + 1.5)
    metrics.worked([StageDone(name, "vad", 0, 3_000_000_000, together=3) for name in "abc"])
    assert value("verbatim_engine_seconds_total", stage="vad") == pytest.approx(engine + 4.5)
