"""The engine's process, as its parent sees it: started, fed, listened to, killed, started again.

The child may die at any time (a CUDA error, out of memory, a decoder's crash, our own kill at a time limit) without taking the broker
connection or the leases along. Whoever was being worked on when it died is told; requests that were only waiting go to its successor, once.
"""

import asyncio
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta

import msgspec
import structlog

from common.errors import PermanentError, TransientError, VerbatimError
from services.transcriber import protocol
from services.transcriber.protocol import Done, Event, Failed, Progress, Ready, StageDone, Started, Transcribe

log = structlog.get_logger(__name__)

COMMAND = (sys.executable, "-m", "services.transcriber.engine")
_LINE_BYTES = 2**20
_STARTS = 3
_RESTART_SECONDS = 1.0


class EngineUnusable(Exception):
    """The child died several times in a row before it was ready: a wrong model name or a broken installation."""


class _Work:
    """One request that has not been answered yet."""

    def __init__(self, request: Transcribe, on_progress: Callable[[Progress], None]) -> None:
        self.request = request
        self.on_progress = on_progress
        self.stages: list[StageDone] = []
        self.answer: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self.started = False
        self.abandoned = False
        self.deaths = 0
        self.timer: asyncio.TimerHandle | None = None

    def fail(self, error: VerbatimError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Engine:
    """Await `transcribe` from any number of tasks while `run` runs in one. `environ` is the child's; by default it inherits ours."""

    def __init__(self, *, time_limit: timedelta, command: tuple[str, ...] = COMMAND, environ: Mapping[str, str] | None = None) -> None:
        self._time_limit = time_limit
        self._command = command
        self._environ = environ
        self._process: asyncio.subprocess.Process | None = None
        self._works: dict[str, _Work] = {}
        self.ready = asyncio.Event()

    async def check(self) -> None:
        """Raises unless the models are loaded."""
        if not self.ready.is_set():
            raise TransientError("engine_loading", "The models are still being loaded.")

    async def transcribe(self, request: Transcribe, on_progress: Callable[[Progress], None]) -> tuple[Done, list[StageDone]]:
        """Wait for this request's turn and its end. Cancelling the wait takes the request off the engine, by force if need be."""
        work = _Work(request, on_progress)
        self._works[request.id] = work
        try:
            await self._send(work)
            return await work.answer, work.stages
        finally:
            if work.timer is not None:
                work.timer.cancel()
            if work.answer.done() and not work.answer.cancelled():
                self._works.pop(request.id, None)
            else:
                self._abandon(work)

    async def run(self) -> None:
        """Keep a child alive until cancelled. Raises `EngineUnusable` when none gets ready."""
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
            await asyncio.sleep(_RESTART_SECONDS if not was_ready else 0)
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
            await self._send(work)
        async for line in self._process.stdout:
            try:
                self._on_event(protocol.decode_event(line))
            except msgspec.DecodeError:
                log.error("engine spoke nonsense", line=line[:200])
                return

    async def _send(self, work: _Work) -> None:
        """Hand a request to the living child; without one, the next child gets it."""
        if self._process is None or self._process.returncode is not None:
            return
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(protocol.encode(work.request) + b"\n")
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            return  # it is dying; `_after_death` and its successor see to the request

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Ready):
            log.info("engine ready", device=event.device, models=event.models, seconds=round(event.seconds, 2))
            self.ready.set()
            return
        work = self._works.get(event.id)
        if work is None:
            return
        match event:
            case Started():
                work.started = True
                if work.abandoned:
                    self._stop_child()
                else:
                    seconds = self._time_limit.total_seconds()
                    work.timer = asyncio.get_running_loop().call_later(seconds, self._time_out, work)
            case Progress():
                work.on_progress(event)
            case StageDone():
                work.stages.append(event)
            case Done():
                self._settle(work, lambda: work.answer.set_result(event))
            case Failed():
                kind = TransientError if event.transient else PermanentError
                self._settle(work, lambda: work.answer.set_exception(kind(event.code, event.message)))

    def _settle(self, work: _Work, answer: Callable[[], None]) -> None:
        self._works.pop(work.request.id, None)
        if not work.answer.done():
            answer()

    def _time_out(self, work: _Work) -> None:
        seconds = self._time_limit.total_seconds()
        log.warning("time limit", request=work.request.id, seconds=seconds)
        work.fail(
            PermanentError(
                "time_limit",
                f"Transcribing took longer than the limit of {seconds:g} seconds; submit a shorter recording.",
            )
        )
        self._stop_child()

    def _abandon(self, work: _Work) -> None:
        """Nobody waits for this any more: off the engine now if it is on it, as soon as it gets there otherwise."""
        work.abandoned = True
        work.answer.cancel()
        if work.started:
            self._stop_child()

    def _stop_child(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    def _after_death(self) -> None:
        """Tell those who were on the engine; keep those who waited, unless they have seen a child die before."""
        for key, work in list(self._works.items()):
            work.deaths += 1
            if work.started or work.deaths > 1 or work.abandoned:
                del self._works[key]
                work.fail(TransientError("engine_died", "The transcription engine died while it worked on this recording."))

    async def _kill(self) -> None:
        if self._process is not None:
            self._stop_child()
            await self._process.wait()
