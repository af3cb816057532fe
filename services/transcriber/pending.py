"""One request that has not been answered yet: who waits for it, what has come of it so far, and how long it may still take."""

import asyncio
from collections.abc import Callable

import msgspec

from common.errors import VerbatimError
from common.jobs.partials import PartialSegment
from services.transcriber.limits import Limits, job_overrun, stage_overrun
from services.transcriber.protocol import Checkpointed, Decoded, Done, Partial, Progress, Stage, StageDone, Transcribe, Waits

Overrun = Callable[["Pending", VerbatimError], None]


class Pending:
    """`overrun` is called when the request takes longer than it may, with the error that says so."""

    def __init__(
        self,
        request: Transcribe,
        limits: Limits,
        *,
        on_progress: Callable[[Progress | Decoded], None],
        on_checkpoint: Callable[[Stage], None],
        on_partial: Callable[[PartialSegment], None],
        overrun: Overrun,
    ) -> None:
        self.request = request
        self._on_progress, self._on_checkpoint, self._on_partial = on_progress, on_checkpoint, on_partial
        self.stages: list[StageDone] = []
        self.answer: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self.started = False
        self.shared = False
        """Whether it was ever on the engine with another request."""
        self.abandoned = False
        self.deaths = 0
        self._limits, self._overrun = limits, overrun
        self._stage: Stage | None = None
        self._recording = 0.0
        self._left = limits.job.total_seconds()
        self._job_timer: asyncio.TimerHandle | None = None
        self._stage_timer: asyncio.TimerHandle | None = None

    @property
    def stage(self) -> Stage | None:
        """Where it is, and its limits count: nowhere before it is taken up, while it waits, and after its end."""
        return self._stage

    def start(self) -> None:
        """The engine has taken it up."""
        self.started = True
        self._enter("decode")

    def hear(self, event: Decoded | Progress | Waits | Partial | StageDone | Checkpointed) -> None:
        """The engine tells how far it is."""
        match event:
            case Decoded():
                self._recording = event.seconds
                self._on_progress(event)
            case Progress():
                self._enter(event.stage)
                self._on_progress(event)
            case Waits():
                self._pause()
            case Partial():
                self._on_partial(event.segment)
            case StageDone():
                self.stages.append(event)
            case Checkpointed():
                self._on_checkpoint(event.stage)

    def wait_again(self, *, alone: bool = False) -> None:
        """It was taken off the engine for no fault of its own that is known, and is in line again."""
        self.stop()
        self._left = self._limits.job.total_seconds()
        if alone:
            self.request = msgspec.structs.replace(self.request, alone=True)
        self.started = self.shared = False
        self.stages.clear()

    def stop(self) -> None:
        """No limit counts any more."""
        for timer in (self._job_timer, self._stage_timer):
            if timer is not None:
                timer.cancel()
        self._job_timer = self._stage_timer = self._stage = None

    def fail(self, error: VerbatimError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    def _enter(self, stage: Stage) -> None:
        """Its limit counts from here."""
        if stage == self._stage:
            return
        self._stage = stage
        if self._job_timer is None:
            self._job_timer = self._after(self._left, job_overrun(self._limits))
        if self._stage_timer is not None:
            self._stage_timer.cancel()
        error = stage_overrun(stage, self._limits.seconds(stage, self._recording))
        self._stage_timer = self._after(self._limits.patience(stage, self._recording), error)

    def _pause(self) -> None:
        if self._job_timer is not None:
            self._left = self._job_timer.when() - asyncio.get_running_loop().time()
        self.stop()

    def _after(self, seconds: float, error: VerbatimError) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, self._overrun, self, error)
