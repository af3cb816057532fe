"""Progress and spans of a request."""

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import pytest

from services.transcriber.engine.checkpoints import Checkpoints
from services.transcriber.engine.failures import Cancelled
from services.transcriber.engine.stages import Send, Stages, Timed
from services.transcriber.protocol import Event, Options, Progress, StageDone


def ahead(result: str = "", start_ns: int = 0, end_ns: int = 1) -> Future[Timed[str]]:
    """What another thread has done by now."""
    done: Future[Timed[str]] = Future()
    done.set_result(Timed(result, start_ns, end_ns))
    return done


def reported(work: Callable[[Stages], None]) -> list[Event]:
    events: list[Event] = []
    work(Stages("job", events.append, Options()))
    return events


def test_progress_never_falls() -> None:
    """Whatever a stage says about itself, the whole only grows and stays within 100."""

    def work(stages: Stages) -> None:
        stages.awaited("decode", ahead())
        for name in ("vad", "transcribe", "align"):
            with stages.stage(name) as progress:
                for fraction in (0.5, 0.2, 1.7, -1.0, 0.9):
                    progress(fraction)

    reports = [event for event in reported(work) if isinstance(event, Progress)]
    percents = [report.percent for report in reports]
    assert percents == sorted(percents)
    assert len({(report.stage, report.percent) for report in reports}) == len(reports)
    assert percents[-1] <= 100


def test_each_stage_says_when_it_begins() -> None:
    """A watcher sees the stage at once, not only when its first batch is done."""

    def work(stages: Stages) -> None:
        for name in ("vad", "transcribe"):
            with stages.stage(name):
                pass

    first = {event.stage: event.percent for event in reversed(reported(work)) if isinstance(event, Progress)}
    assert first == {"vad": 3.0, "transcribe": 8.0}


def test_each_stage_is_a_span() -> None:
    """A finished stage tells when it began and ended, wherever it ran, and counts in the timings."""
    events: list[Event] = []
    stages = Stages("job", events.append, Options())
    assert stages.awaited("decode", ahead("sound", 1_000, 2_000_001_000)) == "sound"
    with stages.stage("vad"):
        pass
    spans = [event for event in events if isinstance(event, StageDone)]
    assert [(span.id, span.stage) for span in spans] == [("job", "decode"), ("job", "vad")]
    assert all(span.start_ns <= span.end_ns for span in spans)
    assert stages.timings["decode"] == 2.0


def test_a_stage_that_fails_is_no_span() -> None:
    """Only what was finished is reported as done."""
    events: list[Event] = []
    with pytest.raises(KeyError), Stages("job", events.append, Options()).stage("vad"):
        raise KeyError
    assert not [event for event in events if isinstance(event, StageDone)]


class Result(NamedTuple):
    value: int
    best: bool = True


@pytest.fixture
def attempt(tmp_path: Path) -> Callable[[Send], Stages]:
    """One after the other of the same job."""
    checkpoints = Checkpoints(tmp_path, {"align": "same"}, 0.0, lambda _stage: None)
    return lambda send: Stages("job", send, Options(), checkpoints=checkpoints)


def test_what_an_earlier_attempt_did_is_not_done_again(attempt: Callable[[Send], Stages]) -> None:
    """Its result is taken over, and it has no span in this attempt."""
    events: list[Event] = []
    assert attempt(list[Event]().append).once("align", Result, lambda _progress: Result(1)) == Result(1)
    second = attempt(events.append)
    assert second.once("align", Result, lambda _progress: Result(2)) == Result(1)
    assert second.timings == {}
    assert not [event for event in events if isinstance(event, StageDone)]


def test_what_an_earlier_attempt_made_of_something_else_is_done_again(attempt: Callable[[Send], Stages]) -> None:
    """The stage before it came to something else this time."""
    first = attempt(list[Event]().append).once("align", Result, lambda _progress: Result(1), made_of="heard")
    second = attempt(list[Event]().append).once("align", Result, lambda _progress: Result(2), made_of="heard otherwise")
    assert (first, second) == (Result(1), Result(2))


def test_what_may_be_done_better_is_done_again(attempt: Callable[[Send], Stages]) -> None:
    """A model that was missing may be there for the next attempt."""
    first = attempt(list[Event]().append).once("align", Result, lambda _progress: Result(1, best=False))
    second = attempt(list[Event]().append).once("align", Result, lambda _progress: Result(2))
    assert (first.value, second.value) == (1, 2)


def test_a_cancelled_request_ends_where_it_stands() -> None:
    """At its next word about progress, or at its next stage."""
    cancelled = False
    stages = Stages("job", list[Event]().append, Options(), cancelled=lambda: cancelled)
    with stages.stage("vad") as progress:
        progress(0.1)
        cancelled = True
        with pytest.raises(Cancelled):
            progress(0.2)
    with pytest.raises(Cancelled), stages.stage("transcribe"):
        pass
    with pytest.raises(Cancelled):
        stages.awaited("vad", Future())
