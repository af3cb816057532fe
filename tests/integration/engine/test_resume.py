"""An attempt that goes on where another was killed, and one that is cancelled."""

from pathlib import Path

import msgspec

from common import transcript
from services.transcriber import protocol
from services.transcriber.protocol import Cancel, Checkpointed, Decoded, Done, Failed, Options, StageDone, Started, Transcribe
from tests.hostile.flac import flac
from tests.integration.engine.child import Child
from tests.recordings import sample


def test_what_was_transcribed_before_the_kill_is_not_transcribed_again(engine: Child, conversation: Path, tmp_path: Path) -> None:
    """The second attempt has no span and no time for what the first one did; the transcript is the one of an attempt without a kill."""
    kept = tmp_path / "checkpoints"
    kept.mkdir()
    first = Transcribe("first", str(conversation), str(tmp_path / "first.json"), Options(), sha256="ab" * 32, checkpoints=str(kept))
    with Child(tmp_path, CHECKPOINT_LEAST_SECONDS="0") as victim:
        victim.wait_ready()
        victim.write(protocol.encode(first) + b"\n")
        while victim.next_event() != Checkpointed("first", "transcribe"):
            pass
        victim.process.kill()
        victim.wait()
    (kept / "align.json").unlink(missing_ok=True)  # the kill may have come late
    second = msgspec.structs.replace(first, id="second", output=str(tmp_path / "second.json"))
    engine.write(protocol.encode(second) + b"\n")
    events = engine.until_answered(second)
    assert isinstance(events[-1], Done)
    done = [event.stage for event in events if isinstance(event, StageDone)]
    assert "align" in done
    assert "transcribe" not in done
    resumed, whole = transcript.decode(Path(second.output).read_bytes()), engine.transcribe(conversation)
    assert "transcribe" not in resumed.timings
    assert msgspec.structs.replace(resumed, timings={}) == msgspec.structs.replace(whole, timings={})
    third = msgspec.structs.replace(first, id="third", output=str(tmp_path / "third.json"))
    engine.write(protocol.encode(third) + b"\n")
    engine.until_answered(third)
    assert transcript.decode(Path(third.output).read_bytes()).timings.keys() == {"decode", "vad", "postprocess"}


def test_a_cancelled_request_is_let_go_and_the_next_one_taken(engine: Child, conversation: Path, tmp_path: Path) -> None:
    """One that waits is never started; one on the engine ends at its next batch, and the child lives on."""
    (tmp_path / "long.wav").write_bytes(sample(copies=20))
    busy, waiting = engine.submit(tmp_path / "long.wav"), engine.submit(conversation)
    while engine.next_event() != Started(busy.id):
        pass
    for request in (waiting, busy):
        engine.write(protocol.encode(Cancel(request.id)) + b"\n")
    events = engine.until_answered(waiting)
    answers = [(event.id, event.code) for event in events if isinstance(event, Failed)]
    assert answers == [(busy.id, "cancelled"), (waiting.id, "cancelled")]
    assert Started(waiting.id) not in events
    assert engine.transcribe(conversation).segments


def test_a_file_that_is_decoded_for_nobody_keeps_nobody_waiting(engine: Child, conversation: Path, tmp_path: Path) -> None:
    """Hours take the decoder half a minute; one that is cancelled meanwhile is let go in the midst of it, and the next one decoded."""
    (tmp_path / "hours.flac").write_bytes(flac(23 * 3_600, 16_000))
    hours, waiting = engine.submit(tmp_path / "hours.flac"), engine.submit(conversation)
    while engine.next_event() != Started(hours.id):
        pass
    engine.write(protocol.encode(Cancel(hours.id)) + b"\n")
    events = engine.until_answered(waiting)
    assert [(event.id, event.code) for event in events if isinstance(event, Failed)] == [(hours.id, "cancelled")]
    assert [event.id for event in events if isinstance(event, Decoded)] == [waiting.id]
