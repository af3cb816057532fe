"""Recordings in the earlier services' forms: their names of options, and fields that mean nothing here are ignored, as they were there."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from litestar import Request

from common.jobs.languages import CODES
from common.jobs.options import Options
from services.ingest import entering, form
from services.ingest.compat import words
from services.ingest.problems import Problem
from services.ingest.submission import Accepted, Submissions


class Upload:
    """The fields of one request. `names` are the form's names of our options, `always` what the service asks for whatever it is told."""

    def __init__(self, files: tuple[str, ...], names: Mapping[str, str], always: Mapping[str, Any] | None = None) -> None:
        self.files = files
        self.field = ""
        self.filename = ""
        self.given: dict[str, str] = {}
        self._names = names
        self._always = always or {}

    def file(self, name: str, filename: str) -> None:
        """The recording begins."""
        self.field, self.filename = name, filename

    def add(self, name: str, text: str) -> None:
        """A field with nothing in it says nothing."""
        if text.strip():
            self.given[name] = text.strip()

    def flag(self, name: str) -> bool:
        """Whether a field says yes. Raises `Problem`."""
        return words.flag(name, self.given.get(name, "false"))

    def options(self) -> Options:
        """Raises `Problem`."""
        values = {ours: self._value(theirs, ours) for theirs, ours in self._names.items() if theirs in self.given}
        return form.options_of({**values, **self.chosen(), **self._always})

    def chosen(self) -> dict[str, Any]:
        """Options that follow from more than one field, or from the recording's name."""
        return {}

    def _value(self, theirs: str, ours: str) -> Any:
        text = self.given[theirs]
        if ours == "language":
            return CODES.get(text.lower(), text.lower())
        return self.flag(theirs) if ours == "diarize" else text


async def submit(submissions: Submissions, request: Request[Any, Any, Any], upload: Upload) -> Accepted:
    """Store the recording and queue a job for it. Raises `Problem`; of a format that is none, in the documents' words."""
    try:
        return await entering.submit(submissions, request, upload)
    except Problem as problem:
        if problem.code == "unsupported_media_type" and upload.filename:
            suffix = PurePath(upload.filename).suffix or upload.filename
            raise Problem(400, problem.code, f"Unsupported audio format: {suffix}") from None
        raise
