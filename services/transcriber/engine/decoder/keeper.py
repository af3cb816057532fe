"""The decoder, as the engine sees it: started, asked, ended at its limits, started again.

A file that breaks its decoder fails with a code, and nothing else does. Whether it was the file, and not what earlier ones left behind in
the process, a fresh decoder tells. Samples come by file, mapped into memory and forgotten by the file system, so that the kernel may put
them aside and the end of whoever uses them takes them away.
"""

import contextlib
import mmap
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from multiprocessing.connection import wait
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np

from common.errors import PermanentError, TransientError, VerbatimError
from services.transcriber.confinement import bare
from services.transcriber.engine.decoder import messages
from services.transcriber.engine.decoder.messages import Answer, Ask, Exhausted, Refused, Told
from services.transcriber.engine.gathered import Channels
from services.transcriber.engine.media import Lanes, Samples, lanes
from services.transcriber.limits import decoder_overrun, stage_overrun

COMMAND = (sys.executable, "-m", "services.transcriber.engine.decoder")

_LOOK_SECONDS = 0.2
"""How soon it is noticed that nobody waits for a file any more."""


class Decoder:
    """A process that decodes, within `memory` bytes and, for each file, `seconds`. One call of `read` at a time."""

    def __init__(self, *, memory: int, seconds: float, command: tuple[str, ...] = COMMAND, environ: Mapping[str, str] = os.environ) -> None:
        self._memory, self._seconds = memory, seconds
        self._command = (*command, str(memory))
        self._environ = bare(environ)
        self._process, self._used = self._started(), False

    @property
    def pid(self) -> int:
        """Of the process that is there now."""
        return self._process.pid

    def read(self, path: Path, channels: Channels, language: str | None = None, stay: Callable[[], None] = lambda: None) -> Lanes:
        """What `media.read` gives and raises; and `time_limit`, `memory_limit`, or `unsupported_media` for what breaks a decoder.

        `stay` is asked all the while, and raises when nobody waits for the file any more: that ends it.
        """
        with TemporaryDirectory(dir=path.parent, prefix="lanes-", ignore_cleanup_errors=True) as folder:
            asked = Ask(source=str(path), channels=channels, language=language, folder=folder, seconds=self._seconds)
            told = self._ask(asked, stay)
            return lanes(told, [_mapped(Path(folder, messages.lane(number))) for number in range(told.lanes)])

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, asked: Ask, stay: Callable[[], None]) -> Told:
        try:
            return self._try(asked, stay)
        except _Broken as broken:
            if not broken.used:
                raise broken.error from None
        try:
            return self._try(asked, stay)
        except _Broken as broken:
            raise broken.error from None

    def _try(self, asked: Ask, stay: Callable[[], None]) -> Told:
        used, self._used = self._used, True
        match self._answer(asked, stay):
            case Told() as told:
                return told
            case Refused() as refused:
                raise (TransientError if refused.transient else PermanentError)(refused.code, refused.message)
            case Exhausted():
                self._restart()
                raise _Broken(decoder_overrun(self._memory), used=used)
            case int() as status:
                self._restart()
                raise _Broken(death(status), used=used)

    def _answer(self, asked: Ask, stay: Callable[[], None]) -> Answer | int:
        """Its answer, or the status that it ended with instead. Raises `VerbatimError` when it takes too long, and what `stay` does."""
        process, overran = self._process, threading.Event()
        assert process.stdin is not None
        assert process.stdout is not None

        def stop() -> None:
            overran.set()
            process.kill()

        timer = threading.Timer(self._seconds, stop)
        timer.start()
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(messages.encode(asked) + b"\n")
                process.stdin.flush()
            self._wait(process.stdout.fileno(), stay)
            line = process.stdout.readline()
        finally:
            timer.cancel()
        if line:
            with contextlib.suppress(msgspec.DecodeError):
                return messages.decode_answer(line)
            process.kill()
        status = process.wait()
        if overran.is_set() or status == -signal.SIGXCPU:
            self._restart()
            raise stage_overrun("decode", self._seconds)
        return status

    def _wait(self, answers: int, stay: Callable[[], None]) -> None:
        """Until there is an answer, or an end."""
        try:
            while not wait([answers], _LOOK_SECONDS):
                stay()
        except VerbatimError:
            self._restart()
            raise

    def _restart(self) -> None:
        self.close()
        self._process, self._used = self._started(), False

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self._environ)


class _Broken(Exception):
    """The decoder is no more. It was `used` before."""

    def __init__(self, error: VerbatimError, *, used: bool) -> None:
        super().__init__()
        self.error, self.used = error, used


def death(status: int) -> VerbatimError:
    """What it means: killed, it was by somebody who knows nothing of the file; anything else is what the file does to any decoder."""
    if status in {-signal.SIGKILL, -signal.SIGTERM}:
        return TransientError("engine_died", "The decoder was ended while it worked on this recording.")
    return PermanentError("unsupported_media", "The file breaks the decoder; convert it to another format and submit it again.")


def _mapped(path: Path) -> Samples:
    with path.open("r+b") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0), np.int16)
