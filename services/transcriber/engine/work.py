"""The order of work: a request and those that can be heard with it are taken up, found speech in, heard together, and finished one by one.

A request's `started` is sent when its turn comes, even if its recording is still being decoded, so that its time limits cover everything
it makes the engine wait for. What fails in one request concerns no other: hearing that fails for several is tried again for each alone, and
a device failure, after which nothing more can be tried here, is left to the parent to tell apart.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from common import transcript
from common.errors import PermanentError
from common.transcript import Transcript
from services.transcriber import protocol
from services.transcriber.engine import failures
from services.transcriber.engine.ahead import DecodeAhead, Turn
from services.transcriber.engine.heard import Heard
from services.transcriber.engine.media import Audio
from services.transcriber.engine.postprocess.copying import copy_redacted
from services.transcriber.engine.recording import Recording
from services.transcriber.engine.stages import Send, Stages

log = logging.getLogger(__name__)

Report = Callable[[protocol.Transcribe], Stages]
"""Opens a request's report."""


class Transcriber(Protocol):
    """The three steps of a request (`engine.Engine`); only the second takes several at once."""

    def find_speech(self, audio: Audio, options: protocol.Options, stages: Stages) -> Recording: ...

    def hear(self, recordings: Sequence[Recording]) -> list[Heard]: ...

    def finish(self, recording: Recording, heard: Heard) -> Transcript: ...


def work(ahead: DecodeAhead, engine: Transcriber, send: Send, report: Report) -> None:
    """Until the process ends, which a device that failed brings about (`SystemExit`)."""
    while True:
        work_once(ahead, engine, send, report)


def work_once(ahead: DecodeAhead, engine: Transcriber, send: Send, report: Report) -> None:
    """Wait for a request, and answer it and those that it is heard with. Then they are forgotten, and so are their recordings."""
    first = ahead.take()
    group = [_Request(first, engine, report(first.request), send)]
    try:
        group[0].attempt(group[0].begin)
        if group[0].open:
            group += [_Request(turn, engine, report(turn.request), send) for turn in ahead.company(first)]
        for request in group[1:]:
            request.attempt(request.begin)
        for request in group:
            request.attempt(request.find_speech)
        for request in group:
            request.attempt(request.stay)
        _hear(engine, [request for request in group if request.open])
        for request in group:
            request.attempt(request.finish)
    finally:
        for request in group:
            ahead.done(request.turn)


def _hear(engine: Transcriber, group: Sequence["_Request"]) -> None:
    if len(group) > 1:
        try:
            heard = engine.hear([request.recording for request in group])
        except Exception as error:
            log.exception("hearing %d together failed", len(group))
            if failures.poisons_device(error):
                raise SystemExit(failures.EXIT_DEVICE) from error
        else:
            for request, one in zip(group, heard, strict=True):
                request.heard = one
            return
    for request in group:
        request.attempt(request.hear)


class _Request:
    """Open until it is answered. `attempt` takes it one step further, and answers it when that fails."""

    recording: Recording
    heard: Heard

    def __init__(self, turn: Turn, engine: Transcriber, stages: Stages, send: Send) -> None:
        self.turn, self._engine, self._stages, self._send = turn, engine, stages, send
        self._id = turn.request.id
        self.open = True

    def attempt(self, step: Callable[[], None]) -> None:
        """Nothing when it has been answered."""
        if not self.open:
            return
        try:
            step()
        except PermanentError as error:
            log.info("request %s failed: %s", self._id, error)
            self._answer(failures.describe(self._id, error))
        except Exception as error:
            log.exception("request %s failed", self._id)
            self._answer(failures.describe(self._id, error))
            if failures.poisons_device(error):
                raise SystemExit(failures.EXIT_DEVICE) from error

    def stay(self) -> None:
        """One that was cancelled goes here: were it heard with others, its end would end their hearing too."""
        if self._stages.cancelled():
            raise failures.Cancelled

    def begin(self) -> None:
        self.stay()
        self._send(protocol.Started(self._id))

    def find_speech(self) -> None:
        decoded = self.turn.decoded.result()
        self._send(protocol.Decoded(self._id, decoded.audio.seconds, decoded.audio.kind))
        self._stages.finished("decode", decoded.start_ns, decoded.end_ns)
        self.recording = self._engine.find_speech(decoded.audio, self.turn.request.options, self._stages)

    def hear(self) -> None:
        [self.heard] = self._engine.hear([self.recording])

    def finish(self) -> None:
        request, result = self.turn.request, self._engine.finish(self.recording, self.heard)
        if request.options.redact:
            assert request.audio is not None
            with self._stages.stage("redact") as progress:
                copy_redacted(
                    Path(request.source),
                    Path(request.audio),
                    result.redactions,
                    result.duration,
                    progress,
                    language=request.options.language,
                )
        _write(Path(request.output), transcript.encode(result))
        self._answer(protocol.Done(self._id, result.language.code, result.duration, len(result.speakers)))

    def _answer(self, event: protocol.Done | protocol.Failed) -> None:
        self.open = False
        self._send(event)


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all: the parent may look at any time."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.replace(path)
