"""Text as it is compared: words without what people leave out, add or write in several ways.

A reference is printed with vowel points, accents and long signs, a recogniser writes without most of them. Both are folded the same way,
so what is lost matters on neither side: case, marks above and below letters, Arabic's lengthening sign and the forms of alef, ya, kaf and
ta marbuta. Marks that are the vowels of other scripts stay. Scripts without spaces have no words to be seen: each character counts as one.
"""

import re
import unicodedata

from services.transcriber.engine.postprocess.phrases import SPACELESS

_JOINERS = re.compile(r"['’ʼ`\u0640\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")  # noqa: RUF001 - apostrophes, and what nobody sees
_WORD = re.compile(r"[^\W_]+(?:[\u0900-\u0dff\u0f00-\u0fff][^\W_]*)*")
_SIGN = re.compile(rf"{SPACELESS.pattern}|(?:(?!{SPACELESS.pattern})[^\W_])+")
_LETTERS = str.maketrans("ٱىیکةۀەؤئ", "ايي" + "كههه" + "وي") | {ord("ء"): None, 0x6E5: None, 0x6E6: None, ord("ß"): "ss"}
_FIRST_MARK = 10
"""Combining classes below are nuktas, voicing signs and viramas, which change the letter."""

_WIDE = 3
"""An ideograph or a syllable says as much as some three letters."""


def tokens(text: str) -> list[str]:
    """The words of `text`, folded."""
    found: list[str] = []
    for word in _WORD.findall(_folded(text)):
        if SPACELESS.search(word):
            found += _SIGN.findall(word)
        else:
            found.append(word)
    return found


def weight(token: str) -> int:
    """How much it says, in letters."""
    return sum(_WIDE if unicodedata.east_asian_width(character) in "WF" else 1 for character in token)


def _folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", _JOINERS.sub("", text).casefold())
    plain = "".join(character for character in decomposed if unicodedata.combining(character) < _FIRST_MARK)
    return unicodedata.normalize("NFC", plain).translate(_LETTERS)
