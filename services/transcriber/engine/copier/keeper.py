"""The process that copies, as the engine sees it: one for each copy, gone when that is made, given up or has broken it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn

import msgspec

from common.errors import PermanentError, TransientError
from common.transcript import Redaction
from services.transcriber.confinement import bare
from services.transcriber.engine.copier import messages
from services.transcriber.engine.copier.messages import Answer, Copied, Order, Progress
from services.transcriber.engine.decoder.keeper import death
from services.transcriber.engine.decoder.messages import Exhausted, Refused
from services.transcriber.limits import decoder_overrun, stage_overrun

COMMAND = (sys.executable, "-m", "services.transcriber.engine.copier")


class Copier:
    """Copies within `memory` bytes, and within `seconds` of CPU beside as many as the recording is long."""

    def __init__(self, *, memory: int, seconds: float, command: Sequence[str] = COMMAND, environ: Mapping[str, str] = os.environ) -> None:
        self._memory, self._seconds = memory, seconds
        self._command, self._environ = command, bare(environ)

    def copy(
        self,
        source: Path,
        output: Path,
        redactions: Sequence[Redaction],
        seconds: float,
        progress: Callable[[float], None] = lambda _: None,
        *,
        language: str | None = None,
    ) -> None:
        """What `copying.copy_redacted` does and raises; and `time_limit`, `memory_limit`, or `unsupported_media` for what breaks it."""
        limit = self._seconds + seconds
        asked = Order(
            source=str(source),
            output=str(output),
            redactions=tuple(redactions),
            seconds=seconds,
            language=language,
            memory=self._memory,
            limit=limit,
        )
        process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self._environ)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(messages.encode(asked) + b"\n")
                process.stdin.flush()
            while isinstance(answer := _next(process.stdout), Progress):
                progress(answer.fraction)
            if answer is None:
                self._died(process.wait(), limit)
        finally:
            process.kill()
            process.communicate()
        match answer:
            case Refused():
                raise (TransientError if answer.transient else PermanentError)(answer.code, answer.message)
            case Exhausted():
                raise decoder_overrun(self._memory)
            case Copied():
                return

    def _died(self, status: int, limit: float) -> NoReturn:
        """Without an answer."""
        raise stage_overrun("decode", limit) if status == -signal.SIGXCPU else death(status)


def _next(lines: IO[bytes]) -> Answer | None:
    """None when there is none any more."""
    with contextlib.suppress(msgspec.DecodeError):
        return messages.decode_answer(lines.readline())
    return None
