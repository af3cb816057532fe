"""The order of work: requests are taken up one after the other, while the next one's recording is decoded already.

At most two recordings are in memory: the one being worked on and the next. A request's `started` is sent when its turn comes, even if its
recording is still being decoded, so that its time limit covers everything it makes the engine wait for.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple, Protocol

from common import transcript
from common.errors import PermanentError
from common.transcript import Transcript
from services.transcriber import protocol
from services.transcriber.engine import failures
from services.transcriber.engine.heard import Heard
from services.transcriber.engine.media import Audio
from services.transcriber.engine.postprocess.copying import copy_redacted
from services.transcriber.engine.recording import Recording
from services.transcriber.engine.stages import Send, Stages

log = logging.getLogger(__name__)

Decode = Callable[[Path, protocol.Options], Audio]
Report = Callable[[protocol.Transcribe], Stages]
"""Opens a request's report."""


class Transcriber(Protocol):
    """The three steps of a request (`engine.Engine`); only the second takes several at once."""

    def find_speech(self, audio: Audio, options: protocol.Options, stages: Stages) -> Recording: ...

    def hear(self, recordings: Sequence[Recording]) -> list[Heard]: ...

    def finish(self, recording: Recording, heard: Heard) -> Transcript: ...


class _Decoded(NamedTuple):
    audio: Audio
    start_ns: int
    end_ns: int


class _Turn(NamedTuple):
    request: protocol.Transcribe
    decoded: "Future[_Decoded]"


class DecodeAhead:
    """Hands out requests in their order, each with its recording, decoding one ahead in a thread of its own."""

    def __init__(self, requests: "SimpleQueue[protocol.Transcribe]", decode: Decode) -> None:
        self._requests, self._decode = requests, decode
        self._turns: SimpleQueue[_Turn] = SimpleQueue()
        self._room = threading.Semaphore(2)
        threading.Thread(target=self._run, name="decode", daemon=True).start()

    def take(self) -> _Turn:
        """Wait for the next request; `done` must follow."""
        return self._turns.get()

    def done(self) -> None:
        """The recording that was taken is not needed any more."""
        self._room.release()

    def _run(self) -> None:
        while True:
            self._decode_next()

    def _decode_next(self) -> None:
        """Nothing here outlives the call: while this thread waits for a request, it holds on to no recording."""
        turn = _Turn(self._requests.get(), Future())
        self._turns.put(turn)
        self._room.acquire()
        start = time.time_ns()
        try:
            audio = self._decode(Path(turn.request.source), turn.request.options)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the request, whose turn raises it
            turn.decoded.set_exception(error)
        else:
            turn.decoded.set_result(_Decoded(audio, start, time.time_ns()))


def work(ahead: DecodeAhead, engine: Transcriber, send: Send, report: Report) -> None:
    """Until the process ends, which a device that failed brings about (`SystemExit`)."""
    while True:
        work_once(ahead, engine, send, report)


def work_once(ahead: DecodeAhead, engine: Transcriber, send: Send, report: Report) -> None:
    """Wait for one request and answer it. One that fails is reported and forgotten, and so is its recording."""
    turn = ahead.take()
    stages = report(turn.request)
    try:
        if stages.cancelled():
            raise failures.Cancelled  # noqa: TRY301 - told like any other end of a request
        send(protocol.Started(turn.request.id))
        send(_answer(turn, engine, stages, send))
    except PermanentError as error:
        log.info("request %s failed: %s", turn.request.id, error)
        send(failures.describe(turn.request.id, error))
    except Exception as error:
        log.exception("request %s failed", turn.request.id)
        send(failures.describe(turn.request.id, error))
        if failures.poisons_device(error):
            raise SystemExit(failures.EXIT_DEVICE) from error
    finally:
        ahead.done()


def _answer(turn: _Turn, engine: Transcriber, stages: Stages, send: Send) -> protocol.Done:
    decoded = turn.decoded.result()
    send(protocol.Decoded(turn.request.id, decoded.audio.seconds))
    stages.finished("decode", decoded.start_ns, decoded.end_ns)
    recording = engine.find_speech(decoded.audio, turn.request.options, stages)
    [heard] = engine.hear([recording])
    result = engine.finish(recording, heard)
    if turn.request.options.redact:
        assert turn.request.audio is not None
        copy_redacted(Path(turn.request.source), Path(turn.request.audio), result.redactions, result.duration)
    _write(Path(turn.request.output), transcript.encode(result))
    return protocol.Done(turn.request.id, result.language.code, result.duration, len(result.speakers))


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all: the parent may look at any time."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.replace(path)
