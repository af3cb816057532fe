"""Recordings made ready ahead of their turn (decoded, and speech found in them), and which of them can be heard together.

Memory is bounded: so many recordings are held as are worked on at a time, and the next, or as many short ones as make no more than one of
five minutes. Requests get their turn in their order; short ones may come forward to keep an earlier short one company, since hearing them
with it costs little and nobody's turn comes later than by that.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import NamedTuple

from common.errors import VerbatimError
from services.transcriber import protocol
from services.transcriber.engine.heard import Span
from services.transcriber.engine.media import SAMPLE_RATE, Audio
from services.transcriber.engine.stages import Timed, timed

Decode = Callable[[protocol.Transcribe], Audio]
FindSpeech = Callable[[protocol.Transcribe, Audio], tuple[Span, ...]]

SHORT_SECONDS = 30.0
"""What Whisper hears at once: from there on nothing is gained by company."""

MOST_TOGETHER = 16
_HELD_SECONDS = 300.0


class Turn(NamedTuple):
    """A request whose recording is ready, or soon will be; what comes of `decoded` and `speech` raises why it cannot be."""

    request: protocol.Transcribe
    decoded: Future[Timed[Audio]]
    speech: Future[Timed[tuple[Span, ...]]]

    @property
    def seconds(self) -> float:
        """Of sound in memory, once it is decoded; none when it cannot be."""
        return _seconds(self.decoded)

    @property
    def short(self) -> bool:
        """Known to be short by now, and not to be worked on alone."""
        ready = self.speech.done() and self.speech.exception() is None
        return ready and not self.request.alone and self.seconds < SHORT_SECONDS

    def fail(self, error: Exception) -> None:
        """It will not be ready."""
        for future in (self.decoded, self.speech):
            if not future.done():
                future.set_exception(error)


class Ahead:
    """Hands out requests in their order, each with its recording, making the next ones ready in a thread of its own.

    `forget` is told of each with which everybody is done, here too: one that has been answered may still be in the making.
    """

    def __init__(
        self,
        requests: SimpleQueue[protocol.Transcribe],
        decode: Decode,
        find_speech: FindSpeech,
        *,
        held: int = 2,
        together: int = MOST_TOGETHER,
        forget: Callable[[protocol.Transcribe], None] = lambda _request: None,
    ) -> None:
        self._requests, self._decode, self._find_speech, self._most_held = requests, decode, find_speech, held
        self._most_together, self._forget = together, forget
        self._turns: deque[Turn] = deque()
        self._changed = threading.Condition()
        self._held, self._seconds = 0, 0.0
        threading.Thread(target=self._run, name="ahead", daemon=True).start()

    def take(self) -> Turn:
        """Wait for the next request; `done` must follow."""
        with self._changed:
            self._changed.wait_for(lambda: self._turns)
            return self._turns.popleft()

    def company(self, turn: Turn) -> list[Turn]:
        """Waiting requests that can be heard with `turn`, which was taken and is ready; `done` must follow for each."""
        if not turn.short:
            return []
        with self._changed:
            fitting = [other for other in self._turns if other.short and _together(turn.request.options, other.request.options)]
            taken = fitting[: self._most_together - 1]
            for other in taken:
                self._turns.remove(other)
        return taken

    def done(self, turn: Turn) -> None:
        """The recording that was taken is not needed any more."""
        request, decoded = turn.request, turn.decoded  # a future keeps its callbacks: with the turn in one, it would keep itself
        turn.speech.add_done_callback(lambda _speech: self._release(request, _seconds(decoded)))

    def _release(self, request: protocol.Transcribe, seconds: float) -> None:
        self._forget(request)
        with self._changed:
            self._held, self._seconds = self._held - 1, self._seconds - seconds
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            self._prepare_next()

    def _prepare_next(self) -> None:
        """Nothing here outlives the call: while this thread waits for a request, it holds on to no recording."""
        turn = Turn(self._requests.get(), Future(), Future())
        with self._changed:
            self._turns.append(turn)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._held < self._most_held or self._seconds < _HELD_SECONDS)
            self._held += 1
        try:
            decoded = timed(lambda: self._decode(turn.request))
            with self._changed:
                self._seconds += len(decoded.result.samples) / SAMPLE_RATE
            turn.decoded.set_result(decoded)
            turn.speech.set_result(timed(lambda: self._find_speech(turn.request, decoded.result)))
        except VerbatimError as error:
            turn.fail(error.with_traceback(None))  # its frames would keep the recording
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the request, whose turn raises it
            turn.fail(error)


def _seconds(decoded: Future[Timed[Audio]]) -> float:
    return 0.0 if decoded.exception() else len(decoded.result().result.samples) / SAMPLE_RATE


def _together(one: protocol.Options, other: protocol.Options) -> bool:
    """One batch has one model, one task and one way to search and to prompt; languages may differ."""
    return _key(one) == _key(other)


def _key(options: protocol.Options) -> tuple[object, ...]:
    return options.model, options.task, options.prompt, options.hotwords, options.temperature, options.beam_size, options.align
