"""A lexicon's corrections, made on the lines of a transcript.

Nothing in a correction is a pattern: its words are looked for as they stand, with any spaces between them. All of a lexicon's corrections
are looked for at once, so what one of them has written is never corrected by another, and their order in the lexicon means nothing.
"""

from collections.abc import Sequence

from common.lexicons.entries import Correction
from common.transcript import Segment
from services.transcriber.engine.postprocess.passage import Passage, Rewriting
from services.transcriber.engine.postprocess.phrases import first_word, phrase


class Corrections:
    """A lexicon's, ready to be made."""

    def __init__(self, corrections: Sequence[Correction]) -> None:
        ordered = sorted(corrections, key=lambda one: one.match_case, reverse=True)
        self._rules = [
            (first_word(one.from_), phrase(one.from_, match_case=one.match_case, whole_word=one.whole_word), one.to) for one in ordered
        ]

    def apply(self, segments: Sequence[Segment]) -> list[Segment]:
        """The segments with what was heard put right; those with nothing to correct are the same."""
        return [Passage(segment).rewritten(found) if (found := self._find(segment.text)) else segment for segment in segments]

    def _find(self, text: str) -> list[Rewriting]:
        """What is to be made of a line. Few of many corrections begin with a word that a line has, and only those are tried."""
        folded = text.casefold()
        return _apart(
            [
                Rewriting(match.start(), match.end(), to)
                for first, pattern, to in self._rules
                if first in folded
                for match in pattern.finditer(text)
            ]
        )


def _apart(found: Sequence[Rewriting]) -> list[Rewriting]:
    """Without overlap: of two that meet, the longer; of two as long, the one that minds the case, which comes first."""
    chosen: list[Rewriting] = []
    for each in sorted(found, key=lambda one: one.start - one.end):
        if all(each.end <= other.start or other.end <= each.start for other in chosen):
            chosen.append(each)
    return chosen
