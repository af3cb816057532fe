"""Recordings decoded ahead of their turn, and which of them can be heard together.

Memory is bounded: two recordings are held, the one being worked on and the next, or as many short ones as make no more than one of
five minutes. Requests get their turn in their order; short ones may come forward to keep an earlier short one company, since hearing them
with it costs little and nobody's turn comes later than by that.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from services.transcriber import protocol
from services.transcriber.engine.media import SAMPLE_RATE, Audio

Decode = Callable[[Path, protocol.Options], Audio]

SHORT_SECONDS = 30.0
"""What Whisper hears at once: from there on nothing is gained by company."""

MOST_TOGETHER = 16
_HELD_SECONDS = 300.0
_HELD = 2


class Decoded(NamedTuple):
    """A recording, and when it was decoded, in Unix nanoseconds."""

    audio: Audio
    start_ns: int
    end_ns: int


class Turn(NamedTuple):
    """A request whose recording is decoded, or soon will be; `decoded` raises why it cannot be."""

    request: protocol.Transcribe
    decoded: Future[Decoded]

    @property
    def seconds(self) -> float:
        """Of sound in memory, once it is decoded; none when it cannot be."""
        return 0.0 if self.decoded.exception() else len(self.decoded.result().audio.samples) / SAMPLE_RATE

    @property
    def short(self) -> bool:
        """Known to be short by now, and not to be worked on alone."""
        done = self.decoded.done() and self.decoded.exception() is None
        return done and not self.request.alone and self.seconds < SHORT_SECONDS


class DecodeAhead:
    """Hands out requests in their order, each with its recording, decoding ahead in a thread of its own."""

    def __init__(self, requests: SimpleQueue[protocol.Transcribe], decode: Decode) -> None:
        self._requests, self._decode = requests, decode
        self._turns: deque[Turn] = deque()
        self._changed = threading.Condition()
        self._held, self._seconds = 0, 0.0
        threading.Thread(target=self._run, name="decode", daemon=True).start()

    def take(self) -> Turn:
        """Wait for the next request; `done` must follow."""
        with self._changed:
            self._changed.wait_for(lambda: self._turns)
            return self._turns.popleft()

    def company(self, turn: Turn) -> list[Turn]:
        """Waiting requests that can be heard with `turn`, which was taken; `done` must follow for each. Waits until `turn` is decoded."""
        if turn.decoded.exception() is not None or not turn.short:
            return []
        with self._changed:
            fitting = [other for other in self._turns if other.short and _together(turn.request.options, other.request.options)]
            taken = fitting[: MOST_TOGETHER - 1]
            for other in taken:
                self._turns.remove(other)
        return taken

    def done(self, turn: Turn) -> None:
        """The recording that was taken is not needed any more."""
        turn.decoded.add_done_callback(lambda _decoded: self._release(turn.seconds))

    def _release(self, seconds: float) -> None:
        with self._changed:
            self._held, self._seconds = self._held - 1, self._seconds - seconds
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            self._decode_next()

    def _decode_next(self) -> None:
        """Nothing here outlives the call: while this thread waits for a request, it holds on to no recording."""
        turn = Turn(self._requests.get(), Future())
        with self._changed:
            self._turns.append(turn)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._held < _HELD or self._seconds < _HELD_SECONDS)
            self._held += 1
        start = time.time_ns()
        try:
            audio = self._decode(Path(turn.request.source), turn.request.options)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the request, whose turn raises it
            turn.decoded.set_exception(error)
        else:
            with self._changed:
                self._seconds += len(audio.samples) / SAMPLE_RATE
            turn.decoded.set_result(Decoded(audio, start, time.time_ns()))


def _together(one: protocol.Options, other: protocol.Options) -> bool:
    """One batch has one model, one task and one way to search and to prompt; languages may differ."""
    return _key(one) == _key(other)


def _key(options: protocol.Options) -> tuple[object, ...]:
    return options.model, options.task, options.prompt, options.hotwords, options.temperature, options.beam_size, options.align
