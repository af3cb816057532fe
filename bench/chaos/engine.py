"""An engine that hears nothing: its transcript is the recording's digest, so that whoever reads one can tell whose it is.

How long it takes follows from the digest too, and whether it stumbles when it first hears it. Recordings that begin with `BROKEN` fail
for good.
"""

import hashlib
import select
import sys
import time
from pathlib import Path

from common import transcript
from common.transcript import Language, Segment, Transcript
from services.transcriber import protocol
from services.transcriber.protocol import Decoded, Done, Event, Failed, Progress, Ready, Started, Transcribe

BROKEN = b"BROKEN"
_HEADER_BYTES = 44
_STUMBLES = 0.02
_TICK = 0.05


_REQUESTS = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115 - for as long as the process lives
"""Unbuffered: what waits in a buffer would not show as readable."""


def main() -> None:
    say(Ready("cpu", {"asr": "stub"}, 0.0))
    waiting: list[Transcribe] = []
    heard: set[str] = set()
    while True:
        while not waiting or _told():
            take(waiting)
        work(waiting.pop(0), waiting, heard)


def take(waiting: list[Transcribe]) -> set[str]:
    """One more line from the parent; returns whom nobody waits for any more."""
    line = _REQUESTS.readline()
    if not line:
        sys.exit(0)  # the parent is gone
    request = protocol.decode_request(line)
    if isinstance(request, Transcribe):
        waiting.append(request)
        return set()
    for each in [each for each in waiting if each.id == request.id]:
        waiting.remove(each)
        say(_cancelled(each.id))
    return {request.id}


def work(request: Transcribe, waiting: list[Transcribe], heard: set[str]) -> None:
    say(Started(request.id))
    data = Path(request.source).read_bytes()
    say(Decoded(request.id, 1.0, "audio"))
    digest = hashlib.sha256(data).hexdigest()
    if data[_HEADER_BYTES:].startswith(BROKEN):
        say(Failed(request.id, "broken_recording", "It was made to fail.", transient=False))
        return
    until = time.monotonic() + seconds(digest)
    while time.monotonic() < until:
        if _told(_TICK) and request.id in take(waiting):
            say(_cancelled(request.id))
            return
        say(Progress(request.id, "transcribe", 50.0))
    first = digest not in heard
    heard.add(digest)
    if first and stumbles(digest):
        say(Failed(request.id, "stumbled", "It was made to stumble.", transient=True))
        return
    said = Segment(0, 0.0, 1.0, digest, 1.0, ())
    Path(request.output).write_bytes(transcript.encode(Transcript(digest, Language("en", 1.0), 1.0, (said,), (), {"asr": "stub"}, {})))
    say(Done(request.id, "en", 1.0, 0))


def seconds(digest: str) -> float:
    """That it takes for this recording."""
    return 0.05 + int(digest[:2], 16) / 256


def stumbles(digest: str) -> bool:
    """Whether an engine that hears this recording for the first time fails at it, as another attempt does not."""
    return int(digest[2:6], 16) / 16**4 < _STUMBLES


def say(event: Event) -> None:
    sys.stdout.buffer.write(protocol.encode(event) + b"\n")
    sys.stdout.buffer.flush()


def _cancelled(request_id: str) -> Failed:
    return Failed(request_id, "cancelled", "Nobody waits for it.", transient=False)


def _told(seconds: float = 0.0) -> bool:
    return bool(select.select([_REQUESTS], [], [], seconds)[0])


if __name__ == "__main__":
    main()
