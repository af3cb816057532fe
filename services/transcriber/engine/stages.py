"""Telling the parent how a request goes: its stages as spans, its progress as one number that never falls.

Each stage that a request asks for owns a share of the whole, measured on the CPU path; the fraction done within a stage moves the number
inside its share.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate, pairwise

from services.transcriber import protocol

_WEIGHTS: dict[protocol.Stage, float] = {"decode": 3, "vad": 5, "transcribe": 83, "align": 8, "diarize": 60, "postprocess": 1}
"""How long the stages take beside each other, in their order."""

Send = Callable[[protocol.Event], None]


class Stages:
    """One request's report. `timings` are wall seconds per finished stage."""

    def __init__(self, request_id: str, send: Send, options: protocol.Options) -> None:
        self._id, self._send, self._shares = request_id, send, shares(options)
        self._percent, self._stage = 0.0, ""
        self.timings: dict[str, float] = {}

    @contextmanager
    def stage(self, name: protocol.Stage) -> Iterator[Callable[[float], None]]:
        """Everything in the block is stage `name`; yields what takes the fraction done, 0 to 1. A stage that fails has no span."""
        start = time.time_ns()
        self._reach(name, 0.0)
        yield lambda fraction: self._reach(name, fraction)
        self.finished(name, start, time.time_ns())

    def finished(self, name: protocol.Stage, start_ns: int, end_ns: int) -> None:
        """A stage that ran elsewhere (decoding is done ahead) is over."""
        self.timings[name] = round((end_ns - start_ns) / 1e9, 4)
        self._send(protocol.StageDone(self._id, name, start_ns, end_ns))
        self._reach(name, 1.0)

    def _reach(self, name: protocol.Stage, fraction: float) -> None:
        low, high = self._shares[name]
        percent = round(low + (high - low) * min(1.0, max(0.0, fraction)), 1)
        if percent > self._percent or (percent == self._percent and name != self._stage):
            self._percent, self._stage = percent, name
            self._send(protocol.Progress(self._id, name, percent))


def shares(options: protocol.Options) -> dict[protocol.Stage, tuple[float, float]]:
    """From which to which percentage each stage leads."""
    asked = {stage: weight for stage, weight in _WEIGHTS.items() if stage != "diarize" or options.diarize}
    edges = [100 * passed / sum(asked.values()) for passed in accumulate(asked.values(), initial=0.0)]
    return dict(zip(asked, pairwise(edges), strict=True))
