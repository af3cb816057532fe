"""From a word as it is written to what is said: numbers in words, without the marks around them."""

import re

from g2p2 import expand_numbers

_THOUSANDS = re.compile(r"(?<=\d)[.,'\u2019\u00a0\u202f](?=\d{3}(?!\d))")
_PARTS = re.compile(r"\d+|[^\W\d_]+(?:['\u2019][^\W\d_]+)*")


def spoken(word: str, language: str) -> list[str]:
    """Lower-case words, empty for one of marks alone: "$12" is "twelve"; what currencies and units are called is left out."""
    said: list[str] = []
    for part in _PARTS.findall(_THOUSANDS.sub("", word.strip())):
        said += re.split(r"[\s-]+", expand_numbers(part, language)) if part.isdecimal() else [part]
    return [part.lower().replace("\u2019", "'") for part in said if not part.isdecimal()]
