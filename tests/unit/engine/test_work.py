"""The order of work in the child."""

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest

from common import transcript
from common.errors import PermanentError
from common.transcript import Language, Transcript
from services.transcriber.engine.ahead import Ahead
from services.transcriber.engine.aside import Aside
from services.transcriber.engine.copier.keeper import Copier
from services.transcriber.engine.heard import Heard, Span
from services.transcriber.engine.media import Audio
from services.transcriber.engine.recording import Recording
from services.transcriber.engine.stages import Send, Stages
from services.transcriber.engine.work import Report, work_once
from services.transcriber.protocol import Decoded, Done, Event, Failed, Options, Progress, Started, Transcribe, Waits

SECONDS = 60


class Recorder:
    """Transcribes nothing, into an empty transcript; raises `error` when there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def hear(self, recordings: Sequence[Recording]) -> list[Heard]:
        if self.error is not None:
            raise self.error
        return [Heard((), "en", 1.0) for _ in recordings]

    def finish(self, recording: Recording, heard: Heard) -> Transcript:
        return Transcript("", Language(heard.language, 1.0), recording.audio.seconds, (), (), {}, {})


copy = Copier(memory=2**30, seconds=60).copy


def silence() -> Audio:
    return Audio(np.zeros(16_000, np.int16), damaged=False)


def no_speech(_request: Transcribe, _audio: Audio) -> tuple[Span, ...]:
    return ()


def ahead(folder: Path, names: list[str], decode: Callable[[Transcribe], Audio], *, alone: bool = True) -> Ahead:
    requests: SimpleQueue[Transcribe] = SimpleQueue()
    for name in names:
        requests.put(Transcribe(name, str(folder / name), str(folder / f"{name}.json"), Options(), alone=alone))
    return Ahead(requests, decode, no_speech)


def reported(send: Send, *cancelled: str) -> Report:
    return lambda request: Stages(request.id, send, request.options, cancelled=lambda: request.id in cancelled)


def test_requests_finish_in_order_and_a_bad_one_harms_none(tmp_path: Path) -> None:
    """Each request is started and answered before the next one, whatever became of it."""

    def decode(request: Transcribe) -> Audio:
        if request.id == "b":
            raise PermanentError("empty_audio", "Nothing in it.")
        return silence()

    events: list[Event] = []
    turns = ahead(tmp_path, ["a", "b", "c"], decode)
    for _ in range(3):
        work_once(turns, Recorder(), events.append, reported(events.append), copy)
    told = [(type(event), event.id) for event in events if isinstance(event, Started | Done | Failed)]
    assert told == [(Started, "a"), (Done, "a"), (Started, "b"), (Failed, "b"), (Started, "c"), (Done, "c")]
    assert transcript.decode((tmp_path / "c.json").read_bytes()).duration == 1.0


def test_started_does_not_wait_for_decoding(tmp_path: Path) -> None:
    """A decoder that hangs counts against its request's time limit: the parent has been told that it was started."""
    release, started = threading.Event(), threading.Event()

    def decode(_request: Transcribe) -> Audio:
        release.wait(SECONDS)
        return silence()

    events: list[Event] = []

    def send(event: Event) -> None:
        events.append(event)
        started.set()

    worker = threading.Thread(target=work_once, args=(ahead(tmp_path, ["a"], decode), Recorder(), send, reported(send), copy))
    worker.start()
    assert started.wait(SECONDS)
    assert [type(event) for event in events if not isinstance(event, Progress)] == [Started]
    release.set()
    worker.join(SECONDS)
    assert isinstance(events[-1], Done)


@pytest.fixture
def no_collector() -> Iterator[None]:
    """A process that does nothing collects no cycles."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("cancelled", [(), ("a",)], ids=["finished", "cancelled"])
def test_a_recording_that_is_over_is_let_go(tmp_path: Path, cancelled: tuple[str, ...]) -> None:
    """An idle child holds none, also of what was cancelled while it was decoded: hours of audio are a gigabyte."""
    seen: SimpleQueue[weakref.ref[Audio]] = SimpleQueue()
    proceed = threading.Event()

    def decode(_request: Transcribe) -> Audio:
        audio = Tracked(np.zeros(16_000, np.int16), damaged=False)
        seen.put(weakref.ref(audio))
        proceed.wait(SECONDS)
        return audio

    turns = ahead(tmp_path, ["a"], decode)
    recording = seen.get(timeout=SECONDS)
    if not cancelled:
        proceed.set()
    work_once(turns, Recorder(), list[Event]().append, reported(list[Event]().append, *cancelled), copy)
    proceed.set()
    assert released(recording), "somebody still holds it"


class Tracked(Audio, frozen=True, weakref=True):
    """A recording that can be watched."""


def released(recording: weakref.ref[Audio]) -> bool:
    """Whether it goes: the thread that made it ready may be at its last line when it has been answered already."""
    deadline = time.monotonic() + SECONDS
    while recording() is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    return recording() is None


def test_a_device_failure_ends_the_process(tmp_path: Path) -> None:
    """After an accelerator's error every later request would fail too: it is reported, then the child goes."""
    events: list[Event] = []

    def decode(_request: Transcribe) -> Audio:
        return silence()

    broken = Recorder(RuntimeError("CUDA error: unspecified launch failure"))
    with pytest.raises(SystemExit):
        work_once(ahead(tmp_path, ["a"], decode), broken, events.append, reported(events.append), copy)
    assert isinstance(events[-1], Failed)
    assert events[-1].code == "device_failed"


def test_a_request_that_was_cancelled_while_it_waited_is_not_started(tmp_path: Path) -> None:
    """It is answered at once, and the next one's turn comes."""
    events: list[Event] = []

    def decode(_request: Transcribe) -> Audio:
        return silence()

    turns = ahead(tmp_path, ["a", "b"], decode)
    for _ in range(2):
        work_once(turns, Recorder(), events.append, reported(events.append, "a"), copy)
    told = [(type(event), event.id) for event in events if isinstance(event, Started | Done | Failed)]
    assert told == [(Failed, "a"), (Started, "b"), (Done, "b")]
    assert [event.seconds for event in events if isinstance(event, Decoded)] == [1.0]


class Choir(Recorder):
    """Hears several at once, or refuses to; tells how many were heard at a time."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.together: list[int] = []
        self.trouble = error

    def hear(self, recordings: Sequence[Recording]) -> list[Heard]:
        self.together.append(len(recordings))
        if self.trouble is not None and len(recordings) > 1:
            raise self.trouble
        if any(recording.options.language == "xx" for recording in recordings):
            raise PermanentError("unsupported_language", "The model does not know it.")
        return [Heard((), recording.options.language or "und", 1.0) for recording in recordings]


def three_short(folder: Path, middle: str = "fr") -> Ahead:
    """Three requests that are all ready."""
    requests: SimpleQueue[Transcribe] = SimpleQueue()
    ready = threading.Event()

    def decode(_request: Transcribe) -> Audio:
        return silence()

    def found(request: Transcribe, _audio: Audio) -> tuple[Span, ...]:
        if request.id == "end":
            ready.set()
        return ()

    for name, language in (("a", "en"), ("b", middle), ("c", "it")):
        requests.put(Transcribe(name, str(folder / name), str(folder / f"{name}.json"), Options(language=language)))
    requests.put(Transcribe("end", str(folder / "end"), str(folder / "end.json"), Options(), alone=True))
    turns = Ahead(requests, decode, found)
    assert ready.wait(SECONDS)
    return turns


def languages(events: list[Event]) -> dict[str, str]:
    return {event.id: event.language for event in events if isinstance(event, Done)}


def test_short_requests_are_heard_together(tmp_path: Path) -> None:
    """All are started before any is heard, and each gets what was heard in its own recording."""
    events: list[Event] = []
    choir = Choir()
    work_once(three_short(tmp_path), choir, events.append, reported(events.append), copy)
    assert choir.together == [3]
    assert [event.id for event in events if isinstance(event, Started)] == ["a", "b", "c"]
    assert languages(events) == {"a": "en", "b": "fr", "c": "it"}


def test_those_heard_together_wait_for_each_others_finish(tmp_path: Path) -> None:
    """No limit counts meanwhile: what hangs while one is finished is not held against another that has been heard."""
    events: list[Event] = []
    work_once(three_short(tmp_path), Choir(), events.append, reported(events.append), copy)
    told = [(type(event), event.id) for event in events if isinstance(event, Waits | Done)]
    assert told == [(Waits, "b"), (Waits, "c"), (Done, "a"), (Done, "b"), (Done, "c")]


def test_what_fails_together_is_heard_alone(tmp_path: Path) -> None:
    """One request that cannot be served costs the others a second hearing, and nothing else."""
    events: list[Event] = []
    choir = Choir()
    work_once(three_short(tmp_path, "xx"), choir, events.append, reported(events.append), copy)
    assert choir.together == [3, 1, 1, 1]
    assert languages(events) == {"a": "en", "c": "it"}
    assert [(event.id, event.code) for event in events if isinstance(event, Failed)] == [("b", "unsupported_language")]


def test_a_device_that_fails_several_at_once_is_nobodys_fault(tmp_path: Path) -> None:
    """The process ends without an answer: the parent tries each alone in the next one."""
    events: list[Event] = []
    with pytest.raises(SystemExit):
        work_once(three_short(tmp_path), Choir(RuntimeError("CUDA error")), events.append, reported(events.append), copy)
    assert not [event for event in events if isinstance(event, Done | Failed)]


def test_one_of_several_is_cancelled(tmp_path: Path) -> None:
    """It is answered, and the others are heard without it."""
    events: list[Event] = []
    choir = Choir()
    work_once(three_short(tmp_path), choir, events.append, reported(events.append, "b"), copy)
    assert choir.together == [2]
    assert languages(events) == {"a": "en", "c": "it"}
    assert [(event.id, event.code) for event in events if isinstance(event, Failed)] == [("b", "cancelled")]


def test_one_that_is_cancelled_while_speech_is_found_is_not_heard(tmp_path: Path) -> None:
    """It goes before the hearing that it would have shared, which is the others' alone, and happens once."""
    events: list[Event] = []
    cancelled: set[str] = set()
    choir = Choir()

    def report(request: Transcribe) -> Stages:
        return Stages(request.id, send, request.options, cancelled=lambda: request.id in cancelled)

    def send(event: Event) -> None:
        events.append(event)
        if isinstance(event, Decoded) and event.id == "c":
            cancelled.add("b")

    work_once(three_short(tmp_path), choir, send, report, copy)
    assert choir.together == [2]
    assert languages(events) == {"a": "en", "c": "it"}
    assert [(event.id, event.code) for event in events if isinstance(event, Failed)] == [("b", "cancelled")]


class Patient(Choir):
    """Cancels `b` in the midst of `step`, and goes on when that has been answered."""

    def __init__(self, step: str, error: Exception | None = None) -> None:
        super().__init__(error)
        self._step = step
        self.events: list[Event] = []
        self.cancelled: set[str] = set()
        self._answered = threading.Event()

    def hear(self, recordings: Sequence[Recording]) -> list[Heard]:
        heard = super().hear(recordings)
        self._pass("hear together" if len(recordings) > 1 else "hear alone")
        return heard

    def finish(self, recording: Recording, heard: Heard) -> Transcript:
        self._pass("finish")
        return super().finish(recording, heard)

    def send(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Failed):
            self._answered.set()

    def report(self, request: Transcribe) -> Stages:
        return Stages(request.id, self.send, request.options, cancelled=lambda: request.id in self.cancelled)

    def _pass(self, step: str) -> None:
        if step == self._step and not self.cancelled:
            self.cancelled.add("b")
            assert self._answered.wait(SECONDS)


@pytest.mark.parametrize(
    ("step", "error", "together"),
    [("hear together", None, [3]), ("hear alone", ValueError("odd"), [3, 1, 1]), ("finish", None, [3])],
)
def test_one_of_several_that_is_cancelled_is_answered_at_once(
    tmp_path: Path, step: str, error: Exception | None, together: list[int]
) -> None:
    """In the midst of what is done for all or for another: who waits a second for it ends the process, and what the others have heard."""
    engine = Patient(step, error)
    work_once(three_short(tmp_path), engine, engine.send, engine.report, copy)
    assert engine.together == together
    assert languages(engine.events) == {"a": "en", "c": "it"}
    assert [(event.id, event.code) for event in engine.events if isinstance(event, Failed)] == [("b", "cancelled")]


class Beside(Recorder):
    """Hears the second recording only while the first is being finished, and finishes that only when the second has been heard."""

    def __init__(self) -> None:
        super().__init__()
        self.finishing, self.heard_second = threading.Event(), threading.Event()
        self.finished: list[float] = []
        self.count = 0

    def hear(self, recordings: Sequence[Recording]) -> list[Heard]:
        self.count += 1
        if self.count == 2:
            assert self.finishing.wait(SECONDS)
        return super().hear(recordings)

    def finish(self, recording: Recording, heard: Heard) -> Transcript:
        self.finishing.set()
        if not self.finished:
            assert self.heard_second.wait(SECONDS)
        self.finished.append(recording.audio.seconds)
        return super().finish(recording, heard)


def test_one_is_finished_while_the_next_is_heard(tmp_path: Path) -> None:
    """Two that are too long to be heard together. Who is heard before the other is finished says that it waits: no limit counts then."""
    events: SimpleQueue[Event] = SimpleQueue()
    engine, aside = Beside(), Aside()

    def decode(request: Transcribe) -> Audio:
        return Audio(np.zeros(16_000 * (40 if request.id == "a" else 50), np.int16), damaged=False)

    def send(event: Event) -> None:
        events.put(event)
        if isinstance(event, Waits):
            engine.heard_second.set()

    turns = ahead(tmp_path, ["a", "b"], decode, alone=False)
    for _ in range(2):
        work_once(turns, engine, send, reported(send), copy, aside)
    told: list[tuple[type, str]] = []
    while told[-1:] != [(Done, "b")]:
        event = events.get(timeout=SECONDS)
        if isinstance(event, Started | Waits | Done | Failed):
            told.append((type(event), event.id))
    assert told == [(Started, "a"), (Started, "b"), (Waits, "b"), (Done, "a"), (Done, "b")]
    assert engine.finished == [40.0, 50.0]


def test_who_is_to_be_alone_is_so_to_the_end(tmp_path: Path) -> None:
    """The parent suspects it of having killed a child: nothing else may be on the engine if it does so again."""
    events: list[Event] = []

    def decode(_request: Transcribe) -> Audio:
        return silence()

    turns = ahead(tmp_path, ["a", "b"], decode)
    aside = Aside()
    for _ in range(2):
        work_once(turns, Recorder(), events.append, reported(events.append), copy, aside)
    told = [(type(event), event.id) for event in events if isinstance(event, Started | Done)]
    assert told == [(Started, "a"), (Done, "a"), (Started, "b"), (Done, "b")]


def test_one_that_is_cancelled_while_another_is_finished_goes_at_once(tmp_path: Path) -> None:
    """Its place behind the other is free again, and the engine can take up the next one."""
    events: list[Event] = []
    cancelled: set[str] = set()
    proceed, aside = threading.Event(), Aside()

    def finish_another() -> None:
        proceed.wait(SECONDS)

    aside.do(finish_another)

    def decode(_request: Transcribe) -> Audio:
        return silence()

    def send(event: Event) -> None:
        events.append(event)
        if isinstance(event, Waits):
            cancelled.add(event.id)

    def report(request: Transcribe) -> Stages:
        return Stages(request.id, send, request.options, cancelled=lambda: request.id in cancelled)

    work_once(ahead(tmp_path, ["a"], decode, alone=False), Recorder(), send, report, copy, aside)
    assert aside.busy
    assert isinstance(events[-1], Failed)
    assert events[-1].code == "cancelled"
    proceed.set()
