"""From the phonetic alphabet to the tokens of the phoneme model.

The model was trained on English and Korean; its vocabulary also lists phones of other languages, of which it has heard next to nothing. So
a phone that English has not is replaced by the nearest that it has: for alignment it matters that a sound is about right, not what it is.
"""

import unicodedata
from collections.abc import Mapping

_DIPHTHONGS = ("t͡ʃ", "d͡ʒ", "aɪ", "aʊ", "eɪ", "oʊ", "ɔɪ")
_PHONES = frozenset((*_DIPHTHONGS, *"abdefghijklmnopstuvwzæðŋɑɔəɛɝɪɹɾʃʊʌʒθ"))

_SPELLINGS = {"tʃ": "t͡ʃ", "dʒ": "d͡ʒ", "t͡ɕ": "t͡ʃ", "əʊ": "oʊ"}
_FAR = {
    "g": "ɡɣ",
    "j": "ɟ",
    "k": "c",
    "h": "xχħɦç",
    "ɹ": "rʁʀ",
    "l": "ʎɭɫɬ",
    "n": "ɲ",
    "m": "ɱ",
    "ʃ": "ɕʂ",
    "ʒ": "ʑʐ",
    "b": "β",
    "v": "ʋ",
    "w": "ɥ",
    "ə": "ɐɘøœ",
    "ɝ": "ɚɜ",
    "ɑ": "ɒ",
    "o": "ɤɵ",
    "u": "yʏʉɯ",
    "i": "ɨ",
}
_NEIGHBOURS = {phone: near for near, phones in _FAR.items() for phone in phones}


def tokens(phones: str, vocabulary: Mapping[str, int]) -> list[int]:
    """The model's tokens for a word in the phonetic alphabet; length, stress and whatever else has no sound of its own is left out."""
    text = unicodedata.normalize("NFC", phones)
    for spelling, usual in _SPELLINGS.items():
        text = text.replace(spelling, usual)
    found: list[int] = []
    at = 0
    while at < len(text):
        phone = next((each for each in _DIPHTHONGS if text.startswith(each, at)), None)
        at += len(phone or text[at])
        if phone is None:
            letter = unicodedata.normalize("NFD", text[at - 1])[0]
            phone = _NEIGHBOURS.get(letter, letter)
        if phone in _PHONES:
            found.append(vocabulary[phone])
    return found
