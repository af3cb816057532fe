"""Telling the parent how a request goes: its stages as spans, its progress as one number that never falls.

Each stage owns a fixed share of the whole, measured on the CPU path; the fraction done within a stage moves the number inside its share.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from services.transcriber import protocol

SHARES: dict[protocol.Stage, tuple[float, float]] = {
    "decode": (0.0, 3.0),
    "vad": (3.0, 8.0),
    "transcribe": (8.0, 91.0),
    "align": (91.0, 99.0),
    "postprocess": (99.0, 100.0),
}

Send = Callable[[protocol.Event], None]


class Stages:
    """One request's report. `timings` are wall seconds per finished stage."""

    def __init__(self, request_id: str, send: Send) -> None:
        self._id, self._send = request_id, send
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
        low, high = SHARES[name]
        percent = round(low + (high - low) * min(1.0, max(0.0, fraction)), 1)
        if percent > self._percent or (percent == self._percent and name != self._stage):
            self._percent, self._stage = percent, name
            self._send(protocol.Progress(self._id, name, percent))
