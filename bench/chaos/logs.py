"""What the services wrote down: who completed which job, how much they complained, and what none of them had foreseen."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

_ERRORS = frozenset({"error", "critical"})
_TRACEBACK = b"Traceback (most recent call last)"


class Logs:
    """`completed[job]`: how many workers say that they completed it. `unforeseen`: failures that nobody gave a name."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._read = dict.fromkeys(paths, 0)
        self.completed = Counter[str]()
        self.unforeseen: list[str] = []
        self.complaints = 0

    def read(self) -> None:
        """Take in what was added since the last time."""
        for path, start in self._read.items():
            if not path.exists():
                continue
            size = path.stat().st_size
            with path.open("rb") as file:
                file.seek(start if start <= size else 0)  # a log that has grown large is begun anew
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._read[path] = size - len(text) + len(whole)
            for line in whole.splitlines():
                self._take(path.stem, line)

    def _take(self, name: str, line: bytes) -> None:
        try:
            told: dict[str, Any] = msgspec.json.decode(line, type=dict)
        except msgspec.DecodeError:
            if line.startswith(_TRACEBACK):
                self.unforeseen.append(f"{name}: ended with a traceback")
            return
        if told["event"] == "job completed":
            self.completed[told["job_id"]] += 1
        self.complaints += told["level"] in _ERRORS | {"warning"}
        if told["level"] in _ERRORS and (trace := told.get("exception")):
            self.unforeseen.append(f"{name}: {told['event']}: {trace[0]['exc_type']}: {trace[0]['exc_value']}")
