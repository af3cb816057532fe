"""A decoder that does what the file says, for what no file can be made to do to ffmpeg on command."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from services.transcriber.confinement import sealed
from services.transcriber.engine.decoder import messages
from services.transcriber.engine.decoder.messages import Ask, Exhausted, Told


def main() -> None:
    count = 0
    for line in sys.stdin.buffer:
        asked, count = messages.decode_ask(line), count + 1
        script, _, when = Path(asked.source).read_text().partition(" ")
        (SCRIPT[script] if not when or count > 1 else succeed)(asked)


def succeed(asked: Ask) -> None:
    Path(asked.folder, messages.lane(0)).write_bytes(bytes(32_000))
    say(messages.encode(Told(1, 1, damaged=False, kind="audio")))


def spin(asked: Ask) -> None:
    with sealed(asked.seconds):
        while True:
            pass


def kill(number: signal.Signals) -> Callable[[Ask], None]:
    return lambda _asked: os.kill(os.getpid(), number)


def say(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


SCRIPT: dict[str, Callable[[Ask], None]] = {
    "succeed": succeed,
    "crash": kill(signal.SIGSEGV),
    "abort": kill(signal.SIGABRT),
    "killed": kill(signal.SIGKILL),
    "overrun": kill(signal.SIGXCPU),
    "hang": lambda _asked: time.sleep(600),
    "spin": spin,
    "exhaust": lambda _asked: say(messages.encode(Exhausted())),
    "nonsense": lambda _asked: say(b"what?"),
}


if __name__ == "__main__":
    main()
