"""When a queued job will be done, from what is ahead of it and what has been measured; and how long a recording probably is."""

import pytest

from common import ids
from common.ids import JobId
from common.jobs.duration import estimated_seconds
from common.jobs.job import Source
from common.jobs.queue import Load, Speed, nearest, seconds_until_done

NOTHING = Load(0, 0.0)
TEN_TIMES = Speed(50, 10.0)


@pytest.mark.parametrize(
    ("ahead", "own", "working", "slots", "expected"),
    [
        (NOTHING, 600, NOTHING, 1, 60),
        (NOTHING, 600, Load(1, 300), 1, 90),
        (NOTHING, 600, Load(1, 300), 2, 60),
        (Load(1, 600), 600, Load(1, 300), 2, 105),
        (Load(99, 60_000), 600, Load(4, 0), 4, 1_560),
    ],
)
def test_eta(ahead: Load, own: float, working: Load, slots: int, expected: float) -> None:
    """All slots share what is ahead, one does the job itself, and a free slot takes it at once."""
    assert seconds_until_done(ahead, own, working, slots, TEN_TIMES) == pytest.approx(expected)


def test_no_eta_without_workers_or_a_measured_speed() -> None:
    """What is not known is not made up."""
    assert seconds_until_done(NOTHING, 600, NOTHING, 0, TEN_TIMES) is None
    assert seconds_until_done(NOTHING, 600, NOTHING, 1, None) is None


def test_the_nearest_milestone_is_the_last_one_before_the_job() -> None:
    """A job that is a milestone itself is counted from the one before; one before all of them from the start of the queue."""
    first, second = (1, 5, ids.new()), (2, 1, ids.new())
    assert nearest([first, second], (1, 6, ids.new())) == first
    assert nearest([first, second], second) == first
    assert nearest([first, second], (2, 2, ids.new())) == second
    assert nearest([first, second], (0, 9, ids.new())) < (0, 0, JobId(ids.new()))


@pytest.mark.parametrize(
    ("content_type", "kind", "size", "expected"),
    [("audio/mpeg", "audio", 960_000, 60), ("audio/wav", "audio", 10_584_000, 60), ("video/mp4", "video", 11_250_000, 60)],
)
def test_estimated_duration(content_type: str, kind: str, size: int, expected: float) -> None:
    """A minute of MP3 at 128 kbit/s, of CD sound, of recorded video."""
    source = Source(filename="a", content_type=content_type, size=size, sha256="", kind="video" if kind == "video" else "audio")
    assert estimated_seconds(source) == pytest.approx(expected, rel=0.01)
