"""The child as a process: what it says, in which order, and how it ends."""

import signal
import time
from pathlib import Path

import msgspec
import pytest

from services.transcriber import protocol
from services.transcriber.protocol import Decoded, Done, Failed, Options, Progress, StageDone, Started, Transcribe
from tests.integration.engine.child import Child
from tests.recordings import sample, wav


def test_requests_are_answered_in_order_and_a_bad_one_harms_none(engine: Child, conversation: Path, tmp_path: Path) -> None:
    """Three at once, the middle one no recording: each is started and answered before the next, by the same process."""
    (tmp_path / "text.mp3").write_text("This is not a recording.\n" * 100)
    requests = [engine.submit(path) for path in (conversation, tmp_path / "text.mp3", conversation)]
    events = engine.until_answered(requests[-1])
    told = [(type(event), event.id) for event in events if isinstance(event, Started | Done | Failed)]
    good, bad, again = (request.id for request in requests)
    assert told == [(Started, good), (Done, good), (Started, bad), (Failed, bad), (Started, again), (Done, again)]
    assert engine.process.poll() is None


def test_a_result_that_cannot_be_stored_is_worth_another_try(engine: Child, conversation: Path, tmp_path: Path) -> None:
    """A missing or full disk is not the recording's fault, nor is a recording that is not where it should be; the child lives on."""
    away = Transcribe("away", str(conversation), str(tmp_path / "missing" / "out.json"), Options())
    engine.write(protocol.encode(away) + b"\n")
    answer = engine.until_answered(away)[-1]
    assert isinstance(answer, Failed)
    assert (answer.code, answer.transient) == ("storage_failed", True)
    failure = engine.refuse(tmp_path / "missing.wav")
    assert (failure.code, failure.transient) == ("source_missing", True)


def test_signals_for_the_group_are_the_parents_to_act_on(tmp_path: Path) -> None:
    """Ctrl-C and SIGTERM reach the whole group; the child works on, and the end of its input ends it at once, mid-request."""
    (tmp_path / "long.wav").write_bytes(sample(copies=20))
    with Child(tmp_path) as child:
        ready = child.wait_ready()
        assert ready.device == "cpu"
        assert ready.seconds > 0
        child.submit(tmp_path / "long.wav")
        assert isinstance(child.next_event(), Started)
        for number in (signal.SIGINT, signal.SIGTERM):
            child.process.send_signal(number)
        assert {type(child.next_event()) for _ in range(3)} <= {Decoded, Progress, StageDone}
        started = time.monotonic()
        assert child.close() == 0
        assert time.monotonic() - started < 20


def test_a_parent_that_dies_during_start_takes_the_child_along(tmp_path: Path) -> None:
    """Its input is watched from the first moment, while the models load."""
    with Child(tmp_path) as child:
        assert child.close() == 0
        assert "ready" not in child.log()


def test_a_line_that_is_no_request_ends_the_child(tmp_path: Path) -> None:
    """Parent and child of different versions part at once, instead of waiting for each other."""
    with Child(tmp_path) as child:
        child.write(b'{"type":"dance"}\n')
        assert child.wait() == 76
        assert "cannot read requests" in child.log()


@pytest.mark.parametrize(
    ("name", "value"),
    [("WHISPER_MODEL_SIZE", "enormous"), ("WHISPER_BATCH_SIZE", "0"), ("WHISPER_COMPUTE_TYPE", "float3")],
)
def test_a_wrong_setting_ends_the_child_with_its_reason(tmp_path: Path, name: str, value: str) -> None:
    """What can never work ends with a status of its own before it is ready; the log, in JSON lines, says what was wrong."""
    with Child(tmp_path, **{name: value, "HF_HUB_OFFLINE": "1", "LOG_FORMAT": "json"}) as child:
        assert child.wait() == 78, child.log()
        last = msgspec.json.decode(child.log().splitlines()[-1])
        assert last["level"] == "error"
        assert name in last["event"] or value in last["event"]


def test_the_next_recording_is_made_ready_while_this_one_is_heard(engine: Child, tmp_path: Path) -> None:
    """Two that are too long to be heard together: speech is found in the second before the engine has done with the first."""
    path = tmp_path / "minute.wav"
    path.write_bytes(sample(copies=2))
    options = Options(beam_size=1, align=False, language="en")
    first, second = engine.submit(path, options), engine.submit(path, options)
    stages = {
        (event.id, event.stage): event
        for request in (first, second)
        for event in engine.until_answered(request)
        if isinstance(event, StageDone)
    }
    assert stages[second.id, "vad"].end_ns < stages[first.id, "transcribe"].end_ns
    assert stages[first.id, "postprocess"].end_ns <= stages[second.id, "transcribe"].start_ns


def test_clips_are_heard_together(engine: Child, tmp_path: Path) -> None:
    """Several short requests that wait share a hearing: it is one span for those that were decoded by then, and each has its own words."""
    clips = []
    for number in range(4):
        path = tmp_path / f"clip-{number}.wav"
        path.write_bytes(wav(sample()[44:][2 * 16_000 * 22 : 2 * 16_000 * 27]))
        clips.append(path)
    requests = [engine.submit(path, Options(align=False, language="en")) for path in clips]
    hearings = [
        (event.start_ns, event.end_ns)
        for request in requests
        for event in engine.until_answered(request)
        if isinstance(event, StageDone) and event.stage == "transcribe"
    ]
    assert len(hearings) == 4
    assert min(end for _, end in hearings[1:]) > max(start for start, _ in hearings[1:])
