"""The child as a process: what it says, in which order, and how it ends."""

import os
import signal
import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from common import transcript
from deploy.local.service import REPOSITORY
from services.transcriber import protocol
from services.transcriber.protocol import Decoded, Done, Failed, Options, Progress, StageDone, Started, Transcribe
from tests.integration.engine.child import COMMAND, SECONDS, Child, environment
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
        assert child.close() == 0
        assert not [event for event in child.rest() if isinstance(event, Done | Failed)]


def test_a_parent_that_dies_during_start_takes_the_child_along() -> None:
    """Its input is watched from the first moment: one that has ended by then is noticed before the models are loaded."""
    done = subprocess.run(
        COMMAND, stdin=subprocess.DEVNULL, capture_output=True, cwd=REPOSITORY, env=environment(), timeout=SECONDS, check=False
    )
    assert (done.returncode, done.stdout) == (0, b""), done.stderr


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


def test_clips_are_made_ready_while_another_is_worked_on_and_then_heard_together(engine: Child, tmp_path: Path) -> None:
    """Those that wait are decoded, and speech is found in them; then one hearing is shared, and each has its own words.

    The engine is kept busy, by a pipe in place of a file, until the last of them is known to be ready: what follows it is decoded by then.
    """
    silence = stored(tmp_path / "silence", wav(bytes(32_000)))
    busy = Transcribe("busy", str(silence), str(tmp_path / "busy.json"), Options(prompt="Alone."))
    pipe = tmp_path / "busy.json.partial"
    os.mkfifo(pipe)
    engine.write(protocol.encode(busy) + b"\n")
    clips = [cut(22, 27), cut(6.7, 11.7)] * 2
    options = Options(align=False, language="en", beam_size=1)
    requests = [engine.submit(stored(tmp_path / str(number), clip), options) for number, clip in enumerate(clips)]
    follower = stored(tmp_path / "follower", wav(bytes(32_000)))
    last = engine.submit(follower)
    engine.until_decoded(follower)
    ready_ns = time.time_ns()
    assert transcript.decode(pipe.read_bytes()).segments == ()

    events = engine.until_answered(requests[-1])
    assert [event.id for event in events if isinstance(event, Done)] == [busy.id, *(request.id for request in requests)]
    stages = {(event.id, event.stage): event for event in events if isinstance(event, StageDone)}
    assert all(stages[request.id, "vad"].end_ns < ready_ns for request in requests)
    assert [stages[request.id, "transcribe"].together for request in requests] == [4] * 4
    one, other, *same = [transcript.decode(Path(request.output).read_bytes()).text for request in requests]
    assert one != other
    assert same == [one, other]
    assert isinstance(engine.until_answered(last)[-1], Done)


def stored(folder: Path, recording: bytes) -> Path:
    """In a folder of its own."""
    folder.mkdir()
    (folder / "recording.wav").write_bytes(recording)
    return folder / "recording.wav"


def cut(start: float, end: float) -> bytes:
    """Seconds of the conversation."""
    return wav(sample()[44:][2 * int(16_000 * start) : 2 * int(16_000 * end)])
