"""The child's log lines: the same keys as the services' own (`common.logging`), without the libraries that would slow its start.

WhisperX would install a handler of its own that prints to standard output; it finds one and leaves things as they are.
"""

import logging
import sys
from datetime import UTC, datetime

import msgspec


def configure(level: str = "info", style: str = "json") -> None:
    """Everything to standard error, `json` or `console`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if style == "json" else logging.Formatter("%(asctime)s [%(levelname)s] %(message)s [%(name)s]"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    whisperx = logging.getLogger("whisperx")
    whisperx.handlers = [logging.NullHandler()]
    whisperx.setLevel(logging.WARNING)


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
