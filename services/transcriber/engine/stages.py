"""How a request goes: its stages as spans, its progress as one number that never falls, and where it may end.

A stage is where a request is taken up again by a later attempt (`once`), and where it ends when nobody waits for it any more: then starting
a stage and reporting progress raise `Cancelled`.

Each stage that a request asks for owns a share of the whole, measured on the CPU path; the fraction done within a stage moves the number
inside its share.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import accumulate, pairwise
from typing import Generic, NamedTuple, Protocol, TypeVar

from common.jobs.partials import PartialSegment
from services.transcriber import protocol
from services.transcriber.engine.checkpoints import NONE, Checkpoints
from services.transcriber.engine.failures import Cancelled

T = TypeVar("T")

_WEIGHTS: dict[protocol.Stage, float] = {"decode": 3, "vad": 5, "transcribe": 83, "align": 8, "diarize": 60, "postprocess": 1, "redact": 3}
"""How long the stages take beside each other, in their order."""

Send = Callable[[protocol.Event], None]


class Result(Protocol):
    """What a stage comes to."""

    @property
    def best(self) -> bool:
        """Whether a later attempt could do no better."""
        ...


Outcome = TypeVar("Outcome", bound=Result)


class Timed(NamedTuple, Generic[T]):
    """What came of some work, and when that began and ended, in Unix nanoseconds."""

    result: T
    start_ns: int
    end_ns: int


def timed(work: Callable[[], T]) -> Timed[T]:
    """Do it, and look at the clock."""
    start = time.time_ns()
    return Timed(work(), start, time.time_ns())


class Stages:
    """One request's report. `timings` are wall seconds per stage that this attempt has finished."""

    def __init__(
        self,
        request_id: str,
        send: Send,
        options: protocol.Options,
        *,
        checkpoints: Checkpoints = NONE,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self._id, self._send, self._shares = request_id, send, shares(options)
        self._checkpoints = checkpoints
        self._percent, self._stage = 0.0, ""
        self.cancelled = cancelled
        self.timings: dict[str, float] = {}

    def once(
        self, name: protocol.Stage, kind: type[Outcome], work: Callable[[Callable[[float], None]], Outcome], *, made_of: object = None
    ) -> Outcome:
        """What stage `name` comes to: as an earlier attempt wrote down, of the same, or as `work` returns.

        `work` gets what takes the fraction done. What a later attempt may do better is not written down.
        """
        found = self.earlier(name, kind, made_of)
        if found is not None:
            return found
        with self.stage(name) as progress:
            result = work(progress)
        if result.best:
            self.keep(name, result, made_of)
        return result

    def earlier(self, name: protocol.Stage, kind: type[T], made_of: object = None) -> T | None:
        """What an earlier attempt wrote down, if it got that far."""
        found = self._checkpoints.load(name, kind, made_of)
        if found is not None:
            self._reach(name, 1.0)
        return found

    def keep(self, name: protocol.Stage, result: object, made_of: object = None) -> None:
        """Write down what a stage that has ended came to."""
        self._checkpoints.save(name, result, self.timings[name], made_of)

    @contextmanager
    def stage(self, name: protocol.Stage, *, together: int = 1) -> Iterator[Callable[[float], None]]:
        """Everything in the block is stage `name`, of so many requests together; yields what takes the fraction done, 0 to 1.

        A stage that fails has no span.
        """

        def progress(fraction: float) -> None:
            self._let_go()
            self._reach(name, fraction)

        start = time.time_ns()
        progress(0.0)
        yield progress
        self._finished(name, start, time.time_ns(), together)

    def awaited(self, name: protocol.Stage, work: Future[Timed[T]]) -> T:
        """What stage `name` comes to, which is done ahead, in another thread; raises what that raises."""
        self._let_go()
        self._reach(name, 0.0)
        done = work.result()
        self._finished(name, done.start_ns, done.end_ns)
        return done.result

    def wait(self) -> None:
        """Another request is finished first."""
        self._send(protocol.Waits(self._id))

    def heard(self, segment: PartialSegment) -> None:
        """Show what has been heard before the rest has been."""
        self._send(protocol.Partial(self._id, segment))

    def _finished(self, name: protocol.Stage, start_ns: int, end_ns: int, together: int = 1) -> None:
        self.timings[name] = round((end_ns - start_ns) / 1e9, 4)
        self._send(protocol.StageDone(self._id, name, start_ns, end_ns, together))
        self._reach(name, 1.0)

    def _let_go(self) -> None:
        if self.cancelled():
            raise Cancelled

    def _reach(self, name: protocol.Stage, fraction: float) -> None:
        low, high = self._shares[name]
        percent = round(low + (high - low) * min(1.0, max(0.0, fraction)), 1)
        if percent > self._percent or (percent == self._percent and name != self._stage):
            self._percent, self._stage = percent, name
            self._send(protocol.Progress(self._id, name, percent))


def shares(options: protocol.Options) -> dict[protocol.Stage, tuple[float, float]]:
    """From which to which percentage each stage leads."""
    left_out = {stage for stage, wanted in (("diarize", options.diarize), ("redact", options.redact)) if not wanted}
    asked = {stage: weight for stage, weight in _WEIGHTS.items() if stage not in left_out}
    edges = [100 * passed / sum(asked.values()) for passed in accumulate(asked.values(), initial=0.0)]
    return dict(zip(asked, pairwise(edges), strict=True))
