"""The engine's process, as its parent sees it: started, fed, listened to, killed, started again.

The child may die at any time (a CUDA error, out of memory, a decoder's crash, our own kill at a limit) without taking the broker connection
or the leases along. When it dies by itself, whoever was being worked on is told. When we kill it, only the one is told whom we kill it for:
the others are as innocent as those that were only waiting, and go to its successor with them.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Mapping

import structlog

from common.errors import PermanentError, TransientError, VerbatimError
from common.jobs.partials import PartialSegment
from services.transcriber import memory, protocol
from services.transcriber.limits import Limits, memory_overrun
from services.transcriber.pending import Pending
from services.transcriber.protocol import (
    DEVICE_FAILED,
    EXIT_DEVICE,
    Cancel,
    Checkpointed,
    Decoded,
    Done,
    Event,
    Failed,
    Partial,
    Progress,
    Ready,
    Request,
    Stage,
    StageDone,
    Started,
    Transcribe,
    Waits,
)

log = structlog.get_logger(__name__)

COMMAND = (sys.executable, "-m", "services.transcriber.engine")
_LINE_BYTES = 2**20
_STARTS = 3
_RESTART_SECONDS = 1.0
_FATAL = 3
_START_SECONDS = 600.0
"""From a child's start until it is ready, where an earlier one has been: models need not be fetched any more."""
_MEMORY_SECONDS = 0.5

LET_GO_SECONDS = 1.5
"""How long a child may take to let go of a request that nobody waits for any more; then it is ended.

Long enough for most steps of hearing to end, which cannot be interrupted, and a quarter of what a new child takes to be ready.
"""


class EngineUnusable(Exception):
    """No child gets ready (a wrong model name, a broken installation), or they die of whatever they are given (a broken device)."""


class Engine:
    """Await `transcribe` from any number of tasks while `run` runs in one. `environ` is the child's; by default it inherits ours."""

    def __init__(
        self,
        *,
        limits: Limits,
        command: tuple[str, ...] = COMMAND,
        environ: Mapping[str, str] | None = None,
        let_go_seconds: float = LET_GO_SECONDS,
        start_seconds: float = _START_SECONDS,
    ) -> None:
        self._limits, self._let_go_seconds, self._start_seconds = limits, let_go_seconds, start_seconds
        self._command = command
        self._environ = environ
        self._process: asyncio.subprocess.Process | None = None
        self._works: dict[str, Pending] = {}
        self._killed_for: set[str] = set()
        self._fatal: set[str] = set()
        """Digests of the recordings that children have died of since one was done."""
        self._was_ready = False
        self.ready = asyncio.Event()

    async def check(self) -> None:
        """Raises unless the models are loaded."""
        if not self.ready.is_set():
            raise TransientError("engine_loading", "The models are still being loaded.")

    async def transcribe(
        self,
        request: Transcribe,
        on_progress: Callable[[Progress | Decoded], None],
        on_checkpoint: Callable[[Stage], None] = lambda _stage: None,
        on_partial: Callable[[PartialSegment], None] = lambda _segment: None,
    ) -> tuple[Done, list[StageDone]]:
        """Wait for this request's turn and its end. Cancelling the wait takes the request off the engine, by force if need be."""
        work = Pending(
            request,
            self._limits,
            on_progress=on_progress,
            on_checkpoint=on_checkpoint,
            on_partial=on_partial,
            overrun=self._overrun,
        )
        self._works[request.id] = work
        try:
            await self._send(request)
            return await work.answer, work.stages
        finally:
            work.stop()
            if work.answer.done() and not work.answer.cancelled():
                self._works.pop(request.id, None)
            else:
                self._abandon(work)

    async def run(self) -> None:
        """Keep a child alive until cancelled. Raises `EngineUnusable` when none gets ready or does any work.

        That ends the service, which gives back what it has claimed: other workers can have it.
        """
        failures = 0
        while failures < _STARTS:
            try:
                await self._live()
            finally:
                was_ready = self.ready.is_set()
                self.ready.clear()
                await self._kill()
            failures = 0 if was_ready else failures + 1
            self._after_death()
            if len(self._fatal) >= _FATAL:
                raise EngineUnusable(f"it died of {_FATAL} recordings, and none was done in between; its last words are in the log above")
            await asyncio.sleep(0 if was_ready else _RESTART_SECONDS)
        raise EngineUnusable(f"it ended {_STARTS} times before it was ready; its last words are in the log above")

    async def _live(self) -> None:
        """One child's life: start it, hand over who waits, listen until it ends."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
            env=self._environ,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        log.info("engine starting", pid=self._process.pid)
        for work in list(self._works.values()):
            await self._send(work.request)
        watch = asyncio.create_task(self._watch_memory(self._process.pid), name="engine-memory")
        late = asyncio.get_running_loop().call_later(self._start_seconds, self._stop_unless_ready) if self._was_ready else None
        try:
            async for event in _events(self._process.stdout):
                self._on_event(event)
        finally:
            watch.cancel()
            if late is not None:
                late.cancel()

    def _stop_unless_ready(self) -> None:
        if not self.ready.is_set():
            log.error("engine hangs while it starts", seconds=self._start_seconds)
            self._stop_child()

    async def _send(self, request: Request) -> None:
        """Hand a request to the living child; without one, the next child gets what still waits."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it is dying; `_after_death` sees to the request
            process.stdin.write(protocol.encode(request) + b"\n")
            await process.stdin.drain()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Ready):
            log.info("engine ready", device=event.device, models=event.models, seconds=round(event.seconds, 2))
            self._was_ready = True
            self.ready.set()
            return
        work = self._works.get(event.id)
        if work is None:
            return
        match event:
            case Started():
                work.start()
                self._note_company(work)
                if work.abandoned:
                    self._let_go(work)
            case Decoded() | Progress() | Waits() | Partial() | StageDone() | Checkpointed():
                work.hear(event)
            case Done():
                self._fatal.clear()
                self._settle(work, lambda: work.answer.set_result(event))
            case Failed():
                if event.code == DEVICE_FAILED:
                    self._fatal.add(work.request.sha256)
                kind = TransientError if event.transient else PermanentError
                self._settle(work, lambda: work.answer.set_exception(kind(event.code, event.message)))

    def _settle(self, work: Pending, answer: Callable[[], None]) -> None:
        work.stop()
        self._works.pop(work.request.id, None)
        if not work.answer.done():
            answer()

    def _stop(self, work: Pending, error: VerbatimError) -> None:
        """End the child for what one request does to it."""
        log.warning("engine stopped", request=work.request.id, code=error.code, error=error.message)
        work.fail(error)
        self._kill_for(work)

    def _stop_together(self, requests: int, error: VerbatimError) -> None:
        """End the child for what several do to it, and nobody can tell which of them: each is tried once more, alone."""
        log.warning("engine stopped", requests=requests, code=error.code, error=error.message)
        self._stop_child()

    def _overrun(self, work: Pending, error: VerbatimError) -> None:
        """Those that are at one stage are heard together, and take as long together."""
        together = sum(other.stage == work.stage for other in self._works.values())
        if error.transient and together > 1:
            self._stop_together(together, error)
        else:
            self._stop(work, error)

    def _abandon(self, work: Pending) -> None:
        """Nobody waits for this any more. The child is asked to let go of it, and has not long to do so if it is at it."""
        work.abandoned = True
        work.answer.cancel()
        process = self._process
        if process is None or process.returncode is not None or process.stdin is None or process.stdin.is_closing():
            self._works.pop(work.request.id, None)
            return
        process.stdin.write(protocol.encode(Cancel(work.request.id)) + b"\n")
        if work.started:
            self._let_go(work)

    def _let_go(self, work: Pending) -> None:
        asyncio.get_running_loop().call_later(self._let_go_seconds, self._insist, work)

    def _insist(self, work: Pending) -> None:
        if self._works.get(work.request.id) is work:
            self._kill_for(work)

    def _kill_for(self, work: Pending) -> None:
        self._killed_for.add(work.request.id)
        self._stop_child()

    def _stop_child(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    def _note_company(self, work: Pending) -> None:
        others = [other for other in self._works.values() if other.started and other is not work]
        for each in others:
            each.shared = True
        work.shared = work.shared or bool(others)

    def _after_death(self) -> None:
        """Tell who was on the engine, or whom it was killed for; keep the others, unless children die on them again and again.

        Of several that were on it together one may be to blame: each is tried once more, alone.
        """
        own_doing, self._killed_for = self._killed_for, set()
        assert self._process is not None
        said = self._process.returncode == EXIT_DEVICE
        anybody = own_doing or said or any(work.started for work in self._works.values())
        for key, work in list(self._works.items()):
            work.deaths += not anybody
            suspect = not own_doing and work.started and work.shared and not work.request.alone
            guilty = key in own_doing if own_doing else (work.started and not suspect) or work.deaths > 1
            if guilty and not own_doing and work.started:
                self._fatal.add(work.request.sha256)
            if guilty or work.abandoned:
                del self._works[key]
                work.stop()
                work.fail(TransientError("engine_died", "The transcription engine died while it worked on this recording."))
            else:
                work.wait_again(alone=suspect)

    async def _watch_memory(self, pid: int) -> None:
        if not self._limits.bound_memory:
            return
        while (used := memory.resident(pid)) is not None:
            self._bound_memory(used)
            await asyncio.sleep(_MEMORY_SECONDS)

    def _bound_memory(self, used: int) -> None:
        """Stop a child that uses too much for a stage that it is at; with nothing to do, it is no recording's fault and left alone."""
        working = [(work, work.stage, self._limits.bytes(work.stage)) for work in self._works.values() if work.stage is not None]
        over = [(work, memory_overrun(stage, limit)) for work, stage, limit in working if limit is not None and used > limit]
        if over and len(working) == 1:
            self._stop(*over[0])
        elif over:
            self._stop_together(len(working), over[0][1])

    async def _kill(self) -> None:
        """Its end is waited for also by who is cancelled meanwhile: it is near, and no child is left behind.

        What it still said is read, or its end would not be told.
        """
        if self._process is None:
            return
        self._stop_child()
        ended = asyncio.create_task(self._process.communicate(), name="engine-end")
        try:
            await asyncio.shield(ended)
        finally:
            await ended


async def _events(output: asyncio.StreamReader) -> AsyncIterator[Event]:
    """Until it ends, or until what comes is none."""
    try:
        async for line in output:
            yield protocol.decode_event(line)
    except ValueError as error:  # no event, or a line that is longer than any of ours
        log.error("engine spoke nonsense", error=str(error))
