"""The child's log lines: the same keys as the services' own (`common.logging`), without the libraries that would slow its start.

Libraries print and warn as well, and what they say becomes lines of the log too. WhisperX would install a handler of its own that prints to
standard output; it finds one and leaves things as they are.
"""

import io
import logging
import sys
import threading
from datetime import UTC, datetime

import msgspec


def configure(level: str = "info", style: str = "json") -> None:
    """Everything to standard error, `json` or `console`."""
    handler = logging.StreamHandler(sys.__stderr__)
    handler.setFormatter(_Json() if style == "json" else logging.Formatter("%(asctime)s [%(levelname)s] %(message)s [%(name)s]"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    whisperx = logging.getLogger("whisperx")
    whisperx.handlers = [logging.NullHandler()]
    whisperx.setLevel(logging.WARNING)


def capture() -> None:
    """Have what is printed from here on logged, line by line, and warnings as well."""
    logging.captureWarnings(capture=True)
    sys.stdout, sys.stderr = _Printed("stdout", logging.INFO), _Printed("stderr", logging.WARNING)


class _Printed(io.TextIOBase):
    """A line ends with its mark, or with the return of a progress bar. What cannot be logged is lost, or it would be printed again."""

    def __init__(self, name: str, level: int) -> None:
        self._log, self._level = logging.getLogger(name), level
        self._own = threading.local()

    def write(self, text: str) -> int:
        if getattr(self._own, "logging", False):
            return len(text)
        *lines, self._own.rest = (getattr(self._own, "rest", "") + text).replace("\r", "\n").split("\n")
        self._own.logging = True
        try:
            for line in filter(str.strip, lines):
                self._log.log(self._level, "%s", line.rstrip())
        finally:
            self._own.logging = False
        return len(text)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        """Where what is written past Python goes."""
        return 2


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "service": "transcriber.engine",
            "logger": record.name,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()
