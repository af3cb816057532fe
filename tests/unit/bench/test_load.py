"""What the load bench tells is what it has measured, and its engine is one that the transcriber can work with."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.load import missed
from bench.load.jobs import Load, percentiles
from bench.load.outbox import Growth, Size
from common import transcript
from services.transcriber import protocol
from services.transcriber.protocol import Decoded, Done, Options, Progress, Ready, Started, Transcribe


def test_percentiles() -> None:
    """p50, p95, p99 and the most, whatever the order."""
    assert percentiles([float(number) for number in range(200, -1, -1)]) == (100.0, 190.0, 198.0, 200.0)


def test_what_became_of_a_load() -> None:
    """Jobs that were not completed are told, and do not count for the rate."""
    load = Load(jobs=5, seconds=2.0, submission=[1.0, 2.0], queued=[1.0, 2.0], done=[3.0, 4.0, 5.0, 6.0], repeated=1)
    figures = load.figures
    assert (figures["rate"], figures["lost"], figures["repeated"]) == (2.0, 1, 1)


@pytest.mark.parametrize(("late", "ratio"), [([40, 40], 1.0), ([50, 80], 2.0)])
def test_growth_is_told_by_halves(late: list[int], ratio: float) -> None:
    """What a table grows to while it fills for the first time is no growth; going on growing is."""
    samples = [Size(events=number, table=size // 2, indexes=size // 2, dead=0, vacuums=0) for number, size in enumerate([0, 40, *late])]
    assert Growth(samples, samples[-1], 1.0).ratio == ratio


WELL: dict[str, Any] = {
    "alone": {"lost": 0},
    "with_faults": {"lost": 0},
    "relay_queued": {"per_second": 3_000.0},
    "relay_heard_by_nobody": {"per_second": 4_000.0},
    "outbox": {"ratio": 1.25},
}


@pytest.mark.parametrize(
    ("figures", "missing"),
    [
        (WELL, 0),
        ({"busy_percent": 99.0}, 0),
        (WELL | {"alone": {"lost": 1}}, 1),
        (WELL | {"with_faults": {"lost": 2}}, 1),
        (WELL | {"relay_queued": {"per_second": 2_999.0}}, 1),
        (WELL | {"relay_heard_by_nobody": {"per_second": 2_000.0}}, 1),
        (WELL | {"outbox": {"ratio": 1.26}}, 1),
        (WELL | {"outbox": {"ratio": float("nan")}, "alone": {"lost": 1}}, 2),
    ],
)
def test_what_is_missed_is_told(figures: dict[str, Any], missing: int) -> None:
    """A lost job, a relay that is too slow and an outbox that grows fail the bench; what was not measured does not."""
    assert len(missed(figures)) == missing


def test_the_stub_is_an_engine(tmp_path: Path) -> None:
    """It says what a transcriber waits for, leaves a transcript, and ends when nobody speaks to it any more."""
    output = tmp_path / "transcript.json"
    request = protocol.encode(Transcribe("a", str(tmp_path / "source"), str(output), Options()))
    done = subprocess.run(
        [sys.executable, "-m", "bench.load.engine"],
        input=request + b"\n",
        capture_output=True,
        check=True,
        env={"BENCH_ENGINE_SECONDS": "0", "PYTHONPATH": ":".join(sys.path)},
    )
    said = [protocol.decode_event(line) for line in done.stdout.splitlines()]
    assert [type(event) for event in said] == [Ready, Started, Decoded, Progress, Done]
    assert transcript.decode(output.read_bytes()).text == ""
