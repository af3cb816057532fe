"""The order of work: requests are taken up one after the other, while the next one's recording is decoded already.

At most two recordings are in memory: the one being worked on and the next. A request's `started` is sent when its turn comes, even if its
recording is still being decoded, so that its time limit covers everything it makes the engine wait for.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue

import msgspec
from common import transcript

from services.transcriber import protocol
from services.transcriber.engine import failures
from services.transcriber.engine.engine import Engine
from services.transcriber.engine.media import Audio, decode
from services.transcriber.engine.stages import Send, Stages

log = logging.getLogger(__name__)


class Decoded(msgspec.Struct, frozen=True):
    """A recording, and when it was decoded (Unix nanoseconds)."""

    audio: Audio
    start_ns: int
    end_ns: int


class DecodeAhead:
    """Hands out requests in their order, each with its recording, decoding one ahead."""

    def __init__(self, requests: "SimpleQueue[protocol.Transcribe]") -> None:
        self._requests = requests
        self._ready: SimpleQueue[tuple[protocol.Transcribe, Future[Decoded]]] = SimpleQueue()
        self._room = threading.Semaphore(2)

    def __iter__(self) -> Iterator[tuple[protocol.Transcribe, "Future[Decoded]"]]:
        threading.Thread(target=self._run, name="decode", daemon=True).start()
        while True:
            yield self._ready.get()
            self._room.release()

    def _run(self) -> None:
        while True:
            request = self._requests.get()
            future: Future[Decoded] = Future()
            self._ready.put((request, future))
            self._room.acquire()
            start = time.time_ns()
            try:
                future.set_result(Decoded(decode(Path(request.source)), start, time.time_ns()))
            except Exception as error:
                future.set_exception(error)


def work(ahead: DecodeAhead, engine: Engine, send: Send) -> None:
    """Until the process ends. A request that fails is reported and forgotten; a device that fails ends the process."""
    for request, decoding in ahead:
        send(protocol.Started(request.id))
        try:
            send(_finish(request, decoding.result(), engine, Stages(request.id, send)))
        except Exception as error:
            log.exception("request %s failed", request.id)
            send(failures.describe(request.id, error))
            if failures.poisons_device(error):
                raise SystemExit(70) from error


def _finish(request: protocol.Transcribe, decoded: Decoded, engine: Engine, stages: Stages) -> protocol.Done:
    stages.finished("decode", decoded.start_ns, decoded.end_ns)
    result = engine.transcribe(decoded.audio, request.options, stages)
    _write(Path(request.output), transcript.encode(result))
    return protocol.Done(request.id, result.language.code, result.duration, len(result.speakers))


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all: the parent may look at any time."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    os.replace(partial, path)
