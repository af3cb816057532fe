"""An engine child that does what each request's prompt tells it to: for the cases that a real engine cannot be made to show on command.

`tests/integration/transcriber/test_child.py` runs the same contract against this one and the real one.

What it says of a request reaches the parent at once, in one piece, up to where the script has it pause: however slow the machine, no limit
passes between two of its words.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from common.jobs.partials import PartialSegment
from services.transcriber import protocol
from services.transcriber.protocol import (
    DEVICE_FAILED,
    EXIT_DEVICE,
    Cancel,
    Checkpointed,
    Decoded,
    Done,
    Failed,
    Partial,
    Progress,
    Ready,
    Stage,
    StageDone,
    Started,
    Transcribe,
    Waits,
)

WAIT_SECONDS = 0.8
HEARD = PartialSegment(start=6.7, end=11.7, text="Hello, this is Diane.")


def main() -> None:
    say(Ready("cpu", {"asr": "scripted"}, 0.0))
    sys.stdout.flush()
    for line in sys.stdin.buffer:
        request = protocol.decode_request(line)
        if isinstance(request, Transcribe):
            act(request)
            sys.stdout.flush()


def act(request: Transcribe) -> None:
    say(Started(request.id))
    if Path(request.source).stat().st_size == 0:
        say(Failed(request.id, "empty_audio", "The recording is empty.", transient=False))
        return
    SCRIPT.get(request.options.prompt or "", succeed)(request)


def succeed(request: Transcribe) -> None:
    now = time.time_ns()
    say(Decoded(request.id, 30.0, "audio"))
    say(Progress(request.id, "transcribe", 50.0))
    say(Partial(request.id, HEARD))
    say(StageDone(request.id, "transcribe", now - 1_000_000, now))
    if request.checkpoints is not None:
        Path(request.checkpoints, "transcribe.json").write_text("{}")
        say(Checkpointed(request.id, "transcribe"))
    Path(request.output).write_text("{}")
    if request.audio is not None:
        Path(request.audio).write_bytes(b"ID3")
    say(Done(request.id, "en", 30.0, 0))


def hang(_request: Transcribe) -> None:
    sys.stdout.flush()
    time.sleep(600)


def die(_request: Transcribe) -> None:
    sys.stdout.flush()
    os._exit(11)


def break_device(request: Transcribe) -> None:
    """As the engine's own does: it says so, and ends."""
    say(Failed(request.id, DEVICE_FAILED, "The accelerator failed.", transient=True))
    sys.stdout.flush()
    os._exit(EXIT_DEVICE)


def hang_at(stage: Stage) -> Callable[[Transcribe], None]:
    def act(request: Transcribe) -> None:
        say(Decoded(request.id, 0.1, "audio"))
        say(Progress(request.id, stage, 50.0))
        hang(request)

    return act


def let_go(request: Transcribe) -> None:
    """Hear something, whatever was asked for, and work until told that nobody waits."""
    say(Partial(request.id, HEARD))
    say(Progress(request.id, "transcribe", 50.0))
    sys.stdout.flush()
    while protocol.decode_request(sys.stdin.buffer.readline()) != Cancel(request.id):
        pass
    say(Failed(request.id, "cancelled", "Nobody waits for it.", transient=False))


def share(request: Transcribe) -> None:
    """Stay on the engine while the next request is worked on; done at once by a second child."""
    seen = Path(request.source).with_suffix(".seen")
    if seen.exists():
        succeed(request)
    seen.touch()


def wait_and_hang(request: Transcribe) -> None:
    """Its turn comes late, and lasts."""
    say(Progress(request.id, "transcribe", 50.0))
    say(Waits(request.id))
    sys.stdout.flush()
    time.sleep(WAIT_SECONDS)
    say(Progress(request.id, "diarize", 60.0))
    hang(request)


def nonsense(_request: Transcribe) -> None:
    sys.stdout.buffer.write(b"what?\n")


def babble(_request: Transcribe) -> None:
    sys.stdout.buffer.write(b"x" * 2**21)


def stumble(request: Transcribe) -> None:
    say(Failed(request.id, "stumbled", "Once more, please.", transient=True))


def join(request: Transcribe) -> None:
    """Stays open, to be on the engine with others, unless it is to be heard alone."""
    if request.alone:
        succeed(request)


def hear_together(request: Transcribe) -> None:
    """At the stage at which the next request is as well, unless it is to be heard alone."""
    if request.alone:
        succeed(request)
    else:
        say(Progress(request.id, "transcribe", 50.0))


SCRIPT: dict[str, Callable[[Transcribe], None]] = {
    "babble": babble,
    "break": break_device,
    "die": die,
    "hang": hang,
    "hear together": hear_together,
    "join": join,
    "let go": let_go,
    "share": share,
    "nonsense": nonsense,
    "stumble": stumble,
    "wait and hang": wait_and_hang,
    **{stage: hang_at(stage) for stage in get_args(Stage)},
}


def say(event: protocol.Event) -> None:
    sys.stdout.buffer.write(protocol.encode(event) + b"\n")


if __name__ == "__main__":
    main()
