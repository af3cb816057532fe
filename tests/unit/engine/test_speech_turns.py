"""What becomes of a request whose speakers are to be told apart, with and without a model."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from common.errors import PermanentError, TransientError
from services.transcriber.engine.batches import Batches
from services.transcriber.engine.checkpoints import Checkpoints
from services.transcriber.engine.diarization.sources import BUNDLED, HUB, sources, wants_hub
from services.transcriber.engine.diarization.speech_turns import ADVICE, Loaded, SpeechTurns
from services.transcriber.engine.failures import Cancelled
from services.transcriber.engine.heard import Span
from services.transcriber.engine.media import Audio
from services.transcriber.engine.recording import Recording
from services.transcriber.engine.settings import EngineSettings
from services.transcriber.engine.shelf import Shelf
from services.transcriber.engine.speakers import Turn
from services.transcriber.engine.stages import Stages
from services.transcriber.protocol import Event, Options, StageDone

SECONDS = 60
TURNS = [Turn(0.0, 1.0, "A")]


class Pipeline:
    """Tells one speaker; raises `error` when there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def turns(self, recording: Recording, batches: Batches, on_progress: Callable[[float], None]) -> list[Turn]:  # noqa: ARG002
        on_progress(recording.audio.seconds)
        if self.error is not None:
            raise self.error
        return TURNS


def request(events: list[Event] | None = None, *, strict: bool = False) -> Recording:
    options = Options(diarize=True, strict=strict)
    audio = Audio(np.zeros(16_000, np.int16), damaged=False)
    return Recording(audio, (Span(0.0, 1.0),), options, Stages("job", (list[Event]() if events is None else events).append, options))


def kept_in(folder: Path) -> Recording:
    """One of a job's attempts, which keep their checkpoints there."""
    recording = request()
    checkpoints = Checkpoints(folder, {"diarize": "same"}, 0.0, lambda _stage: None)
    return recording._replace(stages=Stages("job", list[Event]().append, recording.options, checkpoints=checkpoints))


def broken(error: Exception) -> Callable[[], Loaded]:
    def load() -> Loaded:
        raise error

    return load


def test_a_model_tells_who_speaks() -> None:
    """Turns come with the name of what told them, in a stage of their own; what was passed over is said."""
    events: list[Event] = []
    told = SpeechTurns(Shelf(), lambda: Loaded(Pipeline(), "bundled", ("better",))).tell(request(events))
    assert (told.turns, told.model) == (tuple(TURNS), "bundled")
    assert [note.code for note in told.degradations] == ["diarization_model"]
    assert [event.stage for event in events if isinstance(event, StageDone)] == ["diarize"]


def test_the_model_is_loaded_once_and_only_when_asked_for() -> None:
    """Nothing is loaded at the start; the first request begins it, before it needs it, and the next ones find it."""
    loads = threading.Semaphore(0)
    proceed = threading.Event()

    def load() -> Loaded:
        loads.release()
        proceed.wait(SECONDS)
        return Loaded(Pipeline(), "bundled")

    speech_turns = SpeechTurns(Shelf(), load)
    assert not loads.acquire(blocking=False)
    speech_turns.prepare()
    assert loads.acquire(timeout=SECONDS)
    proceed.set()
    for _ in range(2):
        assert speech_turns.tell(request()).model == "bundled"
    assert not loads.acquire(blocking=False)


@pytest.mark.parametrize(
    "error", [PermanentError("model_corrupt", "Wrong bytes."), TransientError("model_fetch_failed", "Away."), OSError()]
)
def test_without_a_model_a_request_goes_on_or_is_refused(error: Exception) -> None:
    """Unless it is strict, it is done without speakers and says so; both sentences say what to do."""
    told = SpeechTurns(Shelf(), broken(error)).tell(request())
    assert (told.turns, told.model) == ((), None)
    assert [note.code for note in told.degradations] == ["diarization_unavailable"]
    with pytest.raises(PermanentError) as failure:
        SpeechTurns(Shelf(), broken(error)).tell(request(strict=True))
    assert failure.value.code == "diarization_unavailable"
    assert ADVICE in failure.value.message
    assert ADVICE in told.degradations[0].message


@pytest.mark.parametrize(
    ("worse", "kept"),
    [
        (broken(OSError()), False),
        (lambda: Loaded(Pipeline(ValueError("odd")), "bundled"), False),
        (lambda: Loaded(Pipeline(), "bundled", ("better",)), False),
        (lambda: Loaded(Narrow(2), "bundled"), True),
    ],
    ids=["no model", "one that breaks", "another model", "little memory"],
)
def test_what_went_without_its_model_is_done_again(tmp_path: Path, worse: Callable[[], Loaded], *, kept: bool) -> None:
    """The next attempt may come after somebody has seen to it. Memory that was short has only taken time."""
    before = SpeechTurns(Shelf(), worse).tell(kept_in(tmp_path))
    after = SpeechTurns(Shelf(), lambda: Loaded(Pipeline(), "as wished")).tell(kept_in(tmp_path))
    assert (after == before) is kept
    assert (after.model == "as wished") is not kept


def test_a_load_that_failed_is_not_tried_by_every_request() -> None:
    """An index that is away costs one request its time-outs, not all of them."""
    tried: list[int] = []

    def load() -> Loaded:
        tried.append(1)
        raise TransientError("model_fetch_failed", "Away.")

    speech_turns = SpeechTurns(Shelf(), load)
    for _ in range(3):
        speech_turns.tell(request())
    assert len(tried) == 1


def test_a_model_that_was_unloaded_is_loaded_again() -> None:
    """Ahead of its use, as at first."""
    shelf, loads = Shelf(), threading.Semaphore(0)

    def load() -> Loaded:
        loads.release()
        return Loaded(Pipeline(), "bundled")

    speech_turns = SpeechTurns(shelf, load)
    assert speech_turns.tell(request()).model == "bundled"
    assert loads.acquire(blocking=False)
    shelf.clear()
    speech_turns.prepare().result(SECONDS)
    assert loads.acquire(blocking=False)
    assert speech_turns.tell(request()).model == "bundled"
    assert not loads.acquire(blocking=False)


def test_a_request_that_nobody_wants_does_not_wait_for_the_model() -> None:
    """Loading can take long; a cancel is heard meanwhile, and the model is loaded all the same."""
    proceed = threading.Event()

    def load() -> Loaded:
        proceed.wait(SECONDS)
        return Loaded(Pipeline(), "bundled")

    asked = iter((False, True))
    unwanted = request()
    stages = Stages("job", list[Event]().append, unwanted.options, cancelled=lambda: next(asked))
    speech_turns = SpeechTurns(Shelf(), load)
    with pytest.raises(Cancelled):
        speech_turns.tell(unwanted._replace(stages=stages))
    proceed.set()
    assert speech_turns.tell(request()).model == "bundled"


def test_what_breaks_on_the_way_costs_the_speakers_only() -> None:
    """A pipeline that raises in the middle is told like one that is missing, with a code of its own."""
    speech_turns = SpeechTurns(Shelf(), lambda: Loaded(Pipeline(ValueError("odd")), "bundled"))
    told = speech_turns.tell(request())
    assert (told.turns, [note.code for note in told.degradations]) == ((), ["diarization_failed"])
    with pytest.raises(PermanentError) as failure:
        speech_turns.tell(request(strict=True))
    assert failure.value.code == "diarization_failed"


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory"), RuntimeError("CUDA error: launch failure")])
def test_memory_and_devices_are_no_matter_of_speakers(error: Exception) -> None:
    """They are raised, so that whoever knows what to do about them hears of it."""
    with pytest.raises(type(error)):
        SpeechTurns(Shelf(), lambda: Loaded(Pipeline(error), "bundled")).tell(request())


class Narrow:
    """Listens to at most `room` windows at once."""

    def __init__(self, room: int) -> None:
        self.room = room

    def turns(self, recording: Recording, batches: Batches, on_progress: Callable[[float], None]) -> list[Turn]:
        def listen(windows: Sequence[str]) -> None:
            if len(windows) > self.room:
                raise RuntimeError("CUDA out of memory")

        on_progress(recording.audio.seconds)
        batches.work_all("abcd", listen)
        return TURNS


@pytest.mark.parametrize(("room", "codes"), [(4, []), (2, ["smaller_batch"]), (0, ["on_cpu"])])
def test_memory_that_is_short_costs_time_and_no_speakers(room: int, codes: list[str]) -> None:
    """Smaller batches first; then the CPU, for this recording alone. Each step is said."""
    speech_turns = SpeechTurns(Shelf(), lambda: Loaded(Narrow(room), "bundled"), lambda: Loaded(Narrow(4), "bundled"))
    told = speech_turns.tell(request())
    assert (told.turns, told.model, [note.code for note in told.degradations]) == (tuple(TURNS), "bundled", codes)


def test_memory_that_the_cpu_has_not_either_is_raised() -> None:
    """The job is tried again later."""
    with pytest.raises(RuntimeError, match="out of memory"):
        SpeechTurns(Shelf(), lambda: Loaded(Narrow(0), "bundled"), lambda: Loaded(Narrow(0), "bundled")).tell(request())


@pytest.mark.parametrize(
    ("model", "token", "expected", "hub"),
    [
        ("auto", None, (BUNDLED,), False),
        ("auto", "hf_x", (*HUB, BUNDLED), True),
        ("bundled", "hf_x", (BUNDLED,), False),
        ("someone/their-pipeline", None, ("someone/their-pipeline",), True),
        ("/models/pipeline", None, ("/models/pipeline",), False),
    ],
)
def test_the_settings_choose_the_pipeline(model: str, token: str | None, expected: tuple[str, ...], *, hub: bool) -> None:
    """A token opens the hub, a name closes everything else; without either nothing goes over the network."""
    settings = EngineSettings(diarization_model=model, hf_token=token)
    assert (sources(settings), wants_hub(settings)) == (expected, hub)
