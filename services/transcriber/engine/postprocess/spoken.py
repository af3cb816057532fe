"""Spoken numbers and signs as they would be written: "four one five", "double oh", "at gmail dot com".

The written form is made for looking in, not for reading. Every character of it knows the words that it came from; a sign that was spoken
is a character of its own, since not every "at" is an `@`. Amounts ("two million") have no digits in it, as nobody dials them.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, groupby

import msgspec
import text_to_num

AT, DOT, DASH, UNDERSCORE, FILLER, AMOUNT = "\ue000", "\ue001", "\ue002", "\ue003", "\ue004", "\ue005"
"""Signs that were spoken, what people say between digits, and numbers that are no digits. None of them is in any script."""

_NOD = "\ue006"
"""What those say who listen to digits; between others it is a word, since it may be part of an address."""

_MOST_DIGITS = 9_999
MARKS = "\"'“”‘’«»„¿¡.,;:!?…()[]"  # noqa: RUF001 - every script's own marks
_CLOSING = ".,;:!?…)"
_TIMES = {"double": 2, "triple": 3, "doppel": 2, "doble": 2, "triplo": 3, "doppio": 2, "dubbel": 2, "dubbelt": 2}
_WORDS: dict[str, dict[str, str]] = {
    "en": {
        AT: "at", DOT: "dot", DASH: "dash|hyphen|minus", UNDERSCORE: "underscore", "+": "plus", "0": "oh|o",
        FILLER: "um|uh|er|hm|and|then",
        _NOD: "uh-huh|uh huh|mhm|mm-hmm|mm-hm|mm hmm|hmm|okay|ok|yes|yeah|yep|right|sure|correct|got it|all right|alright|go on|go ahead",
    },
    "de": {
        AT: "at|ät|klammeraffe", DOT: "punkt|dot", DASH: "minus|bindestrich|strich", UNDERSCORE: "unterstrich", "+": "plus",
        FILLER: "äh|ähm|hm|und|dann",
        _NOD: "ja|jo|jawohl|genau|okay|ok|gut|mhm|mm-hmm|hmm|aha|richtig|stimmt|klar|weiter|verstanden|alles klar",
    },
    "fr": {
        AT: "arobase|arobas|at", DOT: "point|dot", DASH: "tiret", UNDERSCORE: "underscore|tiret bas", "+": "plus",
        FILLER: "euh|hum|et|puis",
        _NOD: "oui|ouais|okay|ok|mhm|mm-hmm|hmm|d'accord|voilà|bien|très bien|exact|exactement|c'est ça",
    },
    "es": {
        AT: "arroba", DOT: "punto|dot", DASH: "guion|guión", UNDERSCORE: "guion bajo|guión bajo|subrayado", "+": "más",
        FILLER: "eh|em|y|luego",
        _NOD: "sí|si|vale|okay|ok|mhm|mm-hmm|hmm|ajá|aja|bien|muy bien|bueno|claro|dale|correcto|exacto|de acuerdo",
    },
    "it": {
        AT: "chiocciola|at", DOT: "punto|dot", DASH: "trattino", UNDERSCORE: "trattino basso|underscore", "+": "più",
        FILLER: "eh|ehm|e|poi",
        _NOD: "sì|si|okay|ok|mhm|mm-hmm|hmm|va bene|bene|giusto|esatto|certo|perfetto|d'accordo",
    },
    "nl": {
        AT: "at|apenstaartje", DOT: "punt|dot", DASH: "streepje|min", UNDERSCORE: "underscore|laag streepje", "+": "plus",
        FILLER: "eh|uh|uhm|en|dan",
        _NOD: "ja|jawel|okay|oké|ok|mhm|mm-hmm|hmm|goed|precies|juist|klopt|prima",
    },
    "pt": {
        AT: "arroba", DOT: "ponto|dot", DASH: "hífen|traço", UNDERSCORE: "underline|underscore|sublinhado", "+": "mais", "6": "meia",
        FILLER: "hum|eh|e|depois",
        _NOD: "sim|okay|ok|mhm|mm-hmm|hmm|uhum|aham|tá|tá bom|está bem|certo|isso|exato|pois|pronto",
    },
    "da": {
        AT: "snabel-a|at", DOT: "punktum|dot", DASH: "bindestreg|minus", UNDERSCORE: "underscore|understreg", "+": "plus",
        FILLER: "øh|øhm|og|så",
        _NOD: "ja|jo|jep|okay|ok|mhm|mm-hmm|hmm|nemlig|præcis|godt|rigtigt|fint",
    },
}  # fmt: skip
LANGUAGES = frozenset(_WORDS)
"""In which numbers and signs are understood when they are spoken."""

_SIGNS = {
    language: {tuple(spelling.split()): sign for sign, spellings in signs.items() for spelling in spellings.split("|")}
    for language, signs in _WORDS.items()
}


class Piece(msgspec.Struct, frozen=True):
    """Text that stands for the words `first` to before `stop`."""

    text: str
    first: int
    stop: int


class Written(msgspec.Struct, frozen=True):
    """Pieces with a space between them; `numbers` are the words that are numbers, as ranges."""

    text: str
    pieces: tuple[Piece, ...]
    starts: tuple[int, ...]
    numbers: tuple[range, ...]

    def words(self, start: int, end: int) -> range:
        """The words that the characters `start` to `end` stand for, which begin and end with one."""
        first, last = bisect_right(self.starts, start) - 1, bisect_left(self.starts, end) - 1
        return range(self.pieces[first].first, self.pieces[last].stop)


def write(words: Sequence[str], language: str) -> Written:
    """The written form of words in one of `LANGUAGES`."""
    tokens = [_Token(word) for word in words]
    spoken = {found.start: found for found in text_to_num.find_numbers(tokens, language, 0.0) if not found.is_ordinal}
    pieces: list[Piece] = []
    index = 0
    while index < len(words):
        found = spoken.get(index)
        piece = _sign(tokens, index, language) if found is None else _number(words, found)
        piece = piece or Piece(words[index], index, index + 1)
        pieces = _joined(pieces, piece, tokens)
        index = piece.stop
    pieces = _settled(pieces, words)
    numbers = [range(found.start, found.end) for found in text_to_num.find_numbers(tokens, language) if not found.is_ordinal]
    numbers += [range(index, index + 1) for index, word in enumerate(words) if any(character.isdigit() for character in word)]
    starts = tuple(accumulate((len(piece.text) + 1 for piece in pieces[:-1]), initial=0)) if pieces else ()
    return Written(" ".join(piece.text for piece in pieces), tuple(pieces), starts, tuple(numbers))


class _Token:
    """A word without the punctuation around it, which parts it from the next."""

    def __init__(self, word: str) -> None:
        self.plain = word.strip(MARKS).casefold().replace("’", "'")  # noqa: RUF001 - the other apostrophe
        self.parted = word.endswith(tuple(_CLOSING))

    def text(self) -> str:
        return self.plain

    def nt_separated(self, previous: "_Token") -> bool:
        return previous.parted

    def not_a_number_part(self) -> bool:
        return False


def _number(words: Sequence[str], found: text_to_num.Occurence) -> Piece:
    last = words[found.end - 1]
    closing = last[len(last.rstrip(_CLOSING)) :]
    return Piece((found.text if found.value <= _MOST_DIGITS else AMOUNT) + closing, found.start, found.end)


def _sign(tokens: Sequence[_Token], index: int, language: str) -> Piece | None:
    for length in (2, 1):
        spoken = tuple(token.plain for token in tokens[index : index + length])
        if len(spoken) == length and spoken in _SIGNS[language]:
            return Piece(_SIGNS[language][spoken], index, index + length)
    return None


def _settled(pieces: Sequence[Piece], words: Sequence[str]) -> list[Piece]:
    """With each nod either something said between digits or a word."""
    runs = [list(run) for _, run in groupby(pieces, key=lambda piece: piece.text in (FILLER, _NOD))]
    settled: list[Piece] = []
    for before, run, after in zip([[], *runs], runs, [*runs[1:], []], strict=False):
        between = before and after and _has_digits(before[-1]) and _has_digits(after[0])
        for piece in run:
            if piece.text != _NOD:
                settled.append(piece)
            elif between:
                settled.append(Piece(FILLER, piece.first, piece.stop))
            else:
                settled += [Piece(words[index], index, index + 1) for index in range(piece.first, piece.stop)]
    return settled


def _has_digits(piece: Piece) -> bool:
    return any(character.isdigit() for character in piece.text)


def _joined(pieces: list[Piece], piece: Piece, tokens: Sequence[_Token]) -> list[Piece]:
    """With "double" and the like taken into the digit or letter that follows."""
    before = pieces[-1] if pieces else piece
    times = _TIMES.get(tokens[before.first].plain, 1) if before.stop == before.first + 1 else 1
    if times > 1 and len(piece.text.rstrip(_CLOSING)) == 1 and piece.text[0].isalnum():
        spelt = " " if piece.text[0].isalpha() else ""
        return [*pieces[:-1], Piece(spelt.join(piece.text[0] * times) + piece.text[1:], before.first, piece.stop)]
    pieces.append(piece)
    return pieces
