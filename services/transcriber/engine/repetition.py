"""Does a text go round in circles? That is how Whisper fails when it has lost its way: it repeats a phrase, often to the end."""

import re
import zlib

COMPRESSION = 2.4
"""Whisper's own threshold: bytes per byte of the compressed text."""

TOKENS_PER_SECOND = 25
"""Faster than anybody speaks, in the scripts that take most tokens."""

_SAID_TWICE = re.compile(r"(\w.{9,}?)\1")
_BETWEEN_WORDS = re.compile(r"\W+")


def looping(text: str, tokens: int, seconds: float) -> bool:
    """Whether `text`, heard in so many seconds, says something twice in a row, or is more than can be said in that time.

    People repeat themselves too: this is a reason to listen again, not to throw anything away.
    """
    data = text.encode()
    if tokens > TOKENS_PER_SECOND * max(1.0, seconds) or len(data) > COMPRESSION * len(zlib.compress(data)):
        return True
    return _SAID_TWICE.search(_BETWEEN_WORDS.sub(" ", text.lower()).strip() + " ") is not None
