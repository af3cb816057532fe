"""An engine child that does what each request's prompt tells it to: for the cases that a real engine cannot be made to show on command.

`tests/integration/transcriber/test_child.py` runs the same contract against this one and the real one.
"""

import os
import sys
import time
from pathlib import Path

from services.transcriber import protocol
from services.transcriber.protocol import Done, Failed, Progress, Ready, StageDone, Started, Transcribe


def main() -> None:
    say(Ready("cpu", {"asr": "scripted"}, 0.0))
    for line in sys.stdin.buffer:
        act(protocol.decode_request(line))


def act(request: Transcribe) -> None:
    say(Started(request.id))
    if Path(request.source).stat().st_size == 0:
        say(Failed(request.id, "empty_audio", "The recording is empty.", transient=False))
        return
    match request.options.prompt:
        case "die":
            os._exit(11)
        case "hang":
            time.sleep(600)
        case "nonsense":
            sys.stdout.write("what?\n")
            sys.stdout.flush()
        case "stumble":
            say(Failed(request.id, "stumbled", "Once more, please.", transient=True))
        case _:
            now = time.time_ns()
            say(Progress(request.id, "transcribe", 50.0))
            say(StageDone(request.id, "transcribe", now - 1_000_000, now))
            Path(request.output).write_text("{}")
            say(Done(request.id, "en", 30.0, 0))


def say(event: protocol.Event) -> None:
    sys.stdout.buffer.write(protocol.encode(event) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
