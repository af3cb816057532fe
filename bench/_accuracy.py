"""What two sides heard in the same clips, compared in each language and in all of them together."""

from collections.abc import Sequence

import msgspec

from bench._judges import word_error_rate, word_errors
from bench._paired import Difference, difference
from bench._prompts import LANGUAGES, Clip

EVERY = "all languages"


class Compared(msgspec.Struct, frozen=True):
    """Word error rates of one side and of the other, in per cent, and by how much the first exceeds the second."""

    words: int
    ours: float
    theirs: float
    difference: Difference

    def __str__(self) -> str:
        return f"{self.difference}: {self.ours:.1f} - {self.theirs:.1f}, {self.words} words"


def compare(clips: Sequence[Clip], ours: Sequence[str], theirs: Sequence[str]) -> dict[str, Compared]:
    """By language; `EVERY` counts all words alike, whatever their language."""
    own = [word_errors(clip.text, text, clip.language) for clip, text in zip(clips, ours, strict=True)]
    others = [word_errors(clip.text, text, clip.language) for clip, text in zip(clips, theirs, strict=True)]
    found = {}
    for name in (*LANGUAGES, EVERY):
        pairs = [pair for clip, *pair in zip(clips, own, others, strict=True) if name in (clip.language, EVERY)]
        if not pairs:
            continue
        words = [one.words for one, _ in pairs]
        more = difference(words, [one.wrong for one, _ in pairs], [other.wrong for _, other in pairs])
        rates = (word_error_rate(one for one, _ in pairs), word_error_rate(other for _, other in pairs))
        found[name] = Compared(sum(words), *rates, more)
    return found
