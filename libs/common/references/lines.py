"""What a reference is: numbered lines (verses, items of an agenda, lines of a script) that somebody says in a recording.

A job's row and documents tell only how many there are and which (`ReferenceDigest`); the lines themselves lie beside them (`store`), as
rows are read and documents sent all the time.
"""

import hashlib
import re
from typing import Annotated, Any

import msgspec

MOST_LINES = 3_000
MOST_CHARACTERS = 200_000
"""Of all lines together."""

_ARRAY = re.compile(r"\s*\[\s*\{")

Number = Annotated[int, msgspec.Meta(ge=0, le=999_999)]


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`number` is the submitter's own, and no other line's."""

    number: Number
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]


Lines = Annotated[tuple[Line, ...], msgspec.Meta(max_length=MOST_LINES)]


class ReferenceDigest(msgspec.Struct, frozen=True):
    """How many lines a job's reference has, and the hex digest that tells it from others."""

    lines: int
    sha256: str


def parse(value: Any) -> Any:
    """A text as lines numbered from 1, empty ones left out, or as the JSON array that it holds; anything else as it is."""
    if not isinstance(value, str):
        return value
    if _ARRAY.match(value):
        return msgspec.json.decode(value)
    lines = [line for each in value.splitlines() if (line := each.strip())]
    return [{"number": number, "text": line} for number, line in enumerate(lines, 1)]


def check(lines: tuple[Line, ...]) -> None:
    """Raises `ValueError` for what cannot be a reference."""
    if sum(len(line.text) for line in lines) > MOST_CHARACTERS:
        raise ValueError(f"reference has more than {MOST_CHARACTERS} characters in all; divide it and the recording")
    seen: set[int] = set()
    for line in lines:
        if line.number in seen:
            raise ValueError(f"reference has two lines with the number {line.number}; each needs its own")
        seen.add(line.number)
    if lines and not any(character.isalnum() for line in lines for character in line.text):
        raise ValueError("reference has no words in it")


def digest(lines: tuple[Line, ...]) -> ReferenceDigest:
    """What a job's row says of its reference."""
    return ReferenceDigest(len(lines), hashlib.sha256(msgspec.json.encode(lines)).hexdigest())
