"""Texts that an operator keeps for recordings to be split by, one file each, chosen by number.

The earlier service knew the text of each recording that it was given. Here a directory has `12.txt` or `012-name.txt` with a line for each
verse, script line or item, and a recording is told to be of number 12 by its name: `surah_12.mp3`, `012-live.wav`. Lines are numbered from
1; one that begins with another number and a tab has that number, so an opening formula before the first line is `0<TAB>…`. A file that ends
in `.json` has the lines as the option `reference` takes them.
All are read at the start: nobody's request waits for a disk, and a file that is wrong is told at once.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import msgspec

from common.errors import PermanentError
from common.jobs import options
from common.jobs.options import OptionError

_NUMBER = re.compile(r"\d+")
_NUMBERED = re.compile(r"(\d+)\t(.*)")

Lines = list[dict[str, Any]]
"""As the option `reference` takes them."""


class References:
    """Reference texts by number."""

    def __init__(self, texts: Mapping[int, Lines]) -> None:
        self._texts = texts

    @classmethod
    def read(cls, directory: str | None) -> Self:
        """All that are in a directory. Raises `PermanentError` for one that is not as it should be."""
        texts: dict[int, Lines] = {}
        for path in _files(directory):
            number = _NUMBER.match(path.stem)
            if number is None:
                raise _wrong(f"{path.name} does not begin with a number, as 12.txt does")
            try:
                text = path.read_text(encoding="utf-8-sig")
                lines = parse(text) if path.suffix == ".txt" else msgspec.json.decode(text, type=Lines)
                options.parse({"reference": lines})
            except (OptionError, msgspec.DecodeError, UnicodeDecodeError) as error:
                raise _wrong(f"{path.name}: {error}") from None
            texts[int(number[0])] = lines
        if directory is not None and not texts:
            raise _wrong("there is no file like 12.txt in it")
        return cls(texts)

    def of(self, filename: str) -> Lines | None:
        """The text of a recording with this name, if there is one."""
        number = number_in(filename)
        return None if number is None else self._texts.get(number)


def number_in(filename: str) -> int | None:
    """The first number in a recording's name."""
    found = _NUMBER.search(Path(filename).stem)
    return None if found is None else int(found[0][:9])


def parse(text: str) -> Lines:
    """The lines of a text; empty ones are none."""
    lines: Lines = []
    following = 1
    for line in filter(None, map(str.strip, text.splitlines())):
        numbered = _NUMBERED.fullmatch(line)
        number, words = (int(numbered[1]), numbered[2].strip()) if numbered else (following, line)
        lines.append({"number": number, "text": words})
        following = number + 1
    return lines


def _files(directory: str | None) -> list[Path]:
    return [] if directory is None else sorted(path for path in Path(directory).glob("*") if path.suffix in {".txt", ".json"})


def _wrong(reason: str) -> PermanentError:
    return PermanentError("reference_texts_unusable", f"REFERENCE_TEXTS_DIR: {reason}.")
