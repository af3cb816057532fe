"""Swear words, with stars for their letters.

The lists are those of glin-profanity, for two dozen languages. They hold words as a dictionary does; in English, which needs no more than
that, the common endings are found too.
"""

import re
from collections.abc import Iterator, Sequence

from glin_profanity.data.dictionary import DictionaryLoader

from common.transcript import Segment
from services.transcriber.engine.postprocess.passage import Passage, Rewriting
from services.transcriber.engine.postprocess.phrases import SPACELESS, first_word, phrase

_LISTS = {
    "ar": "arabic", "cs": "czech", "da": "danish", "de": "german", "en": "english", "es": "spanish", "fa": "persian", "fi": "finnish",
    "fr": "french", "hi": "hindi", "hu": "hungarian", "it": "italian", "ja": "japanese", "ko": "korean", "nl": "dutch", "no": "norwegian",
    "pl": "polish", "pt": "portuguese", "ru": "russian", "sv": "swedish", "th": "thai", "tr": "turkish", "zh": "chinese",
}  # fmt: skip
LANGUAGES = frozenset(_LISTS)
"""For which there is a list."""

_ENDINGS = {"en": "(?:s|es|ed|er|ers|in|ing|y)?"}
_LONG_ENOUGH = 4
"""Letters of a word that may have an ending."""


class Profanity:
    """The lists of the languages that have come up, each read once."""

    def __init__(self) -> None:
        self._loader = DictionaryLoader()
        self._rules: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def mask(self, segments: Sequence[Segment], language: str) -> list[Segment]:
        """The segments, in `language` but where they say otherwise; those in a language without a list stay as they are."""
        return [Passage(segment).rewritten(self._stars(segment.text, segment.language or language)) for segment in segments]

    def _stars(self, text: str, language: str) -> list[Rewriting]:
        folded = text.casefold()
        found = [match.span() for first, pattern in self._of(language) if first in folded for match in pattern.finditer(text)]
        stars: list[Rewriting] = []
        for start, end in sorted(found, key=lambda span: (span[0], -span[1])):
            if not stars or start >= stars[-1].end:
                stars.append(Rewriting(start, end, re.sub(r"\w", "*", text[start:end])))
        return stars

    def _of(self, language: str) -> list[tuple[str, re.Pattern[str]]]:
        if language not in self._rules:
            self._rules[language] = list(_rules(self._loader.get_words(_LISTS[language]), language)) if language in _LISTS else []
        return self._rules[language]


def _rules(words: Sequence[str], language: str) -> Iterator[tuple[str, re.Pattern[str]]]:
    """A number says nothing by itself, and a single character means too much where it may be part of any word."""
    for word in dict.fromkeys(word.strip() for word in words):
        if any(character.isalpha() for character in word) and not (len(word) == 1 and SPACELESS.match(word)):
            endings = _ENDINGS.get(language, "") if len(word) >= _LONG_ENOUGH else ""
            yield first_word(word), phrase(word, match_case=False, endings=endings)
