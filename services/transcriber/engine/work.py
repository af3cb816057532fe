"""The order of work: a request and those that can be heard with it are taken up, heard together, and finished one by one.

Where hearing leaves the processor free, on a GPU or on a server elsewhere, transcripts are finished `aside` while the next recordings are
heard. A request's `started` is sent when its turn comes, even if its recording is still being made ready, so that its time limits cover
everything it makes the engine wait for; while it waits for another's finish, none counts.

What fails in one request concerns no other: hearing that fails for several is tried again for each alone, and a device failure, after
which nothing more can be tried here, is left to the parent to tell apart. A request that is to be `alone` is so from beginning to end.

One of several that is cancelled is answered at once, in the midst of what is done for the others or for all: for one that is not, the
parent would end the process, and what the others have come to.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from common import transcript
from common.errors import PermanentError
from common.transcript import Redaction, Transcript
from services.transcriber import protocol
from services.transcriber.engine import failures
from services.transcriber.engine.ahead import Ahead, Turn
from services.transcriber.engine.aside import Aside
from services.transcriber.engine.heard import Heard
from services.transcriber.engine.recording import Recording
from services.transcriber.engine.stages import Send, Stages

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2
"""How soon it is noticed that nobody waits for one that does not notice by itself."""

Report = Callable[[protocol.Transcribe], Stages]
"""Opens a request's report."""


class Copy(Protocol):
    """Makes the redacted copy of a recording (`copier.keeper.Copier.copy`)."""

    def __call__(
        self,
        source: Path,
        output: Path,
        redactions: Sequence[Redaction],
        seconds: float,
        progress: Callable[[float], None],
        *,
        language: str | None,
    ) -> None: ...


class Transcriber(Protocol):
    """The two steps of a request whose recording is ready (`engine.Engine`); only the first takes several at once."""

    def hear(self, recordings: Sequence[Recording]) -> list[Heard]: ...

    def finish(self, recording: Recording, heard: Heard) -> Transcript: ...


def work(ahead: Ahead, engine: Transcriber, send: Send, report: Report, copy: Copy, aside: Aside | None = None) -> None:
    """Until the process ends, which a device that failed brings about (`SystemExit`)."""
    while True:
        work_once(ahead, engine, send, report, copy, aside)


def work_once(ahead: Ahead, engine: Transcriber, send: Send, report: Report, copy: Copy, aside: Aside | None = None) -> None:
    """Wait for a request, and answer it and those that it is heard with, or leave that to `aside`; then their recordings are forgotten."""
    first = ahead.take()
    if aside is not None and first.request.alone:
        aside.wait()
    group = _take_up(first, ahead, partial(_Request, engine=engine, report=report, send=send, copy=copy))
    _hear(engine, [request for request in group if request.open])

    finish = partial(_finish, ahead, group)
    if aside is None or first.request.alone:
        finish()
    else:
        _hand_over(group, finish, aside)


def _take_up(first: Turn, ahead: Ahead, opened: Callable[[Turn], "_Request"]) -> list["_Request"]:
    """Those for `first`'s company are chosen when it is ready: the longer that took, the more of them are ready too."""
    group = [opened(first)]
    group[0].attempt(group[0].begin)
    if group[0].open:
        group += [opened(turn) for turn in ahead.company(first)]
    for request in group[1:]:
        request.attempt(request.begin)
    for request in group:
        request.attempt(request.stay)
    return group


def _hear(engine: Transcriber, group: Sequence["_Request"]) -> None:
    if len(group) > 1:
        try:
            with _left_out_when_cancelled(group):
                heard = engine.hear([request.recording for request in group])
        except failures.Cancelled:
            log.info("nobody waits for the %d that were heard together", len(group))
        except Exception as error:
            log.exception("hearing %d together failed", len(group))
            if failures.poisons_device(error):
                raise SystemExit(protocol.EXIT_DEVICE) from error
        else:
            for request, one in zip(group, heard, strict=True):
                request.heard = one
            return
    for number, request in enumerate(group, 1):
        with _left_out_when_cancelled(group[number:]):
            request.attempt(request.hear)


def _finish(ahead: Ahead, group: Sequence["_Request"]) -> None:
    for request in group[1:]:
        request.attempt(request.wait)
    for number, request in enumerate(group, 1):
        with _left_out_when_cancelled(group[number:]):
            request.attempt(request.finish)
    for request in group:
        ahead.done(request.turn)


@contextmanager
def _left_out_when_cancelled(group: Sequence["_Request"]) -> Iterator[None]:
    """Those of the `group` are answered meanwhile. Nobody else may answer them within this block."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_SECONDS):
            for request in group:
                request.attempt(request.stay)

    looking = threading.Thread(target=look, name="cancelled", daemon=True)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join()


def _hand_over(group: Sequence["_Request"], finish: Callable[[], None], aside: Aside) -> None:
    """Behind what is being finished there; whoever is cancelled meanwhile does not wait for that."""
    if aside.busy:
        for request in group:
            request.attempt(request.wait)
    while any(request.open for request in group):
        if aside.wait(_LOOK_SECONDS):
            aside.do(finish)
            return
        for request in group:
            request.attempt(request.stay)
    finish()


class _Request:
    """Open until it is answered. `attempt` takes it one step further, and answers it when that fails."""

    recording: Recording
    heard: Heard

    def __init__(self, turn: Turn, engine: Transcriber, report: Report, send: Send, copy: Copy) -> None:
        self.turn, self._engine, self._send, self._copy = turn, engine, send, copy
        self._stages = report(turn.request)
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
                raise SystemExit(protocol.EXIT_DEVICE) from error

    def stay(self) -> None:
        """One that was cancelled goes here: were it heard with others, its end would end their hearing too."""
        if self._stages.cancelled():
            raise failures.Cancelled

    def begin(self) -> None:
        self.stay()
        self._send(protocol.Started(self._id))
        audio = self._stages.awaited("decode", self.turn.decoded)
        self._send(protocol.Decoded(self._id, audio.seconds, audio.kind))
        speech = self._stages.awaited("vad", self.turn.speech)
        self.recording = Recording(audio, speech, self.turn.request.options, self._stages)

    def hear(self) -> None:
        [self.heard] = self._engine.hear([self.recording])

    def wait(self) -> None:
        self._stages.wait()

    def finish(self) -> None:
        request, result = self.turn.request, self._engine.finish(self.recording, self.heard)
        if request.options.redact:
            assert request.audio is not None
            with self._stages.stage("redact") as progress:
                self._copy(
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
