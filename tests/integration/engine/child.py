"""The engine child over its pipes, as its parent would drive it."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from typing import Self

from common import transcript
from common.transcript import Transcript
from deploy.local.service import REPOSITORY
from services.transcriber import protocol
from services.transcriber.protocol import Done, Event, Failed, Options, Ready, Transcribe

SECONDS = 240.0
MODELS = REPOSITORY / ".verbatim" / "models"
COMMAND = (sys.executable, "-m", "services.transcriber.engine")


def environment(**environ: str) -> dict[str, str]:
    """The child's, with more of it."""
    return os.environ | {"VERBATIM_MODEL_DIR": str(MODELS), "WHISPER_DEVICE": "cpu"} | environ


class Child:
    """A real engine process; `lines` that are no events would fail the reader, and with it the test that waits for one."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self._folder, self._count = folder, 0
        self._events: SimpleQueue[Event | Exception] = SimpleQueue()
        with (folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=REPOSITORY, env=environment(**environ)
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def submit(self, source: Path, options: Options | None = None) -> Transcribe:
        """Send a request without waiting for its answer."""
        self._count += 1
        name = f"{source.stem}-{self._count}"
        options = options or Options()
        audio = str(self._folder / f"{name}.mp3") if options.redact else None
        request = Transcribe(name, str(source), str(self._folder / f"{name}.json"), options, audio=audio)
        self.write(protocol.encode(request) + b"\n")
        return request

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def next_event(self) -> Event:
        event = self._events.get(timeout=SECONDS)
        if isinstance(event, Exception):
            raise event
        return event

    def wait_ready(self) -> Ready:
        event = self.next_event()
        assert isinstance(event, Ready)
        return event

    def until_answered(self, request: Transcribe) -> list[Event]:
        """All events up to the answer to `request`, which comes last."""
        events = [self.next_event()]
        while not (isinstance(events[-1], Done | Failed) and events[-1].id == request.id):
            events.append(self.next_event())
        return events

    def until_decoded(self, source: Path) -> None:
        """The samples of a recording that has a folder of its own are in the child's memory."""
        deadline = time.monotonic() + SECONDS
        while f"{source.parent}/" not in Path(f"/proc/{self.process.pid}/maps").read_text():
            assert time.monotonic() < deadline, f"waited in vain for {source}"
            time.sleep(0.02)

    def rest(self) -> list[Event]:
        """What it said to its end, and has not been looked at."""
        events = list[Event]()
        while not isinstance(event := self._events.get(timeout=SECONDS), EOFError):
            if isinstance(event, Exception):
                raise event
            events.append(event)
        return events

    def transcribe(self, source: Path, options: Options | None = None) -> Transcript:
        """The transcript; a failure fails the test."""
        request = self.submit(source, options)
        answer = self.until_answered(request)[-1]
        assert isinstance(answer, Done), answer
        return transcript.decode(Path(request.output).read_bytes())

    def refuse(self, source: Path, options: Options | None = None) -> Failed:
        """The failure; a transcript fails the test."""
        answer = self.until_answered(self.submit(source, options))[-1]
        assert isinstance(answer, Failed), answer
        return answer

    def close(self) -> int:
        """End its input, as the parent's death would; its exit status."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        return self.wait()

    def wait(self) -> int:
        """Its exit status, once it has ended by itself."""
        status = self.process.wait(SECONDS)
        self._reader.join(SECONDS)
        return status

    def log(self) -> str:
        return (self._folder / "log").read_text()

    def _read(self) -> None:
        assert self.process.stdout is not None
        try:
            with self.process.stdout as stream:
                for line in stream:
                    self._events.put(protocol.decode_event(line))
            self._events.put(EOFError(f"the child ended: {self.log()[-2000:]}"))
        except Exception as error:  # noqa: BLE001 - belongs to the test that waits for an event
            self._events.put(error)
