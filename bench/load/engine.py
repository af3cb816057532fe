"""An engine that takes `BENCH_ENGINE_SECONDS` for whatever comes, one after the other, and has heard nothing."""

import os
import sys
import time
from pathlib import Path

from common import transcript
from common.transcript import Language, Transcript
from services.transcriber import protocol
from services.transcriber.protocol import Decoded, Done, Event, Progress, Ready, Started, Transcribe

_HEARD = transcript.encode(Transcript("", Language("en", 1.0), 1.0, (), (), {"asr": "stub"}, {}))


def main() -> None:
    seconds = float(os.environ["BENCH_ENGINE_SECONDS"])
    say(Ready("cpu", {"asr": "stub"}, 0.0))
    for line in sys.stdin.buffer:
        request = protocol.decode_request(line)
        if isinstance(request, Transcribe):  # nobody cancels here
            say(Started(request.id))
            say(Decoded(request.id, 1.0, "audio"))
            say(Progress(request.id, "transcribe", 0.0))
            time.sleep(seconds)
            Path(request.output).write_bytes(_HEARD)
            say(Done(request.id, "en", 1.0, 0))


def say(event: Event) -> None:
    sys.stdout.buffer.write(protocol.encode(event) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
