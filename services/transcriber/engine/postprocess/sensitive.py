"""What in a text should not be passed on: e-mail addresses, telephone, card and bank account numbers, or every number.

Telephone numbers are found by Google's libphonenumber. Beside it stands a net with wider meshes for what it, and every other recogniser
that counts digits or checks sums, lets through: a number of which one digit was misheard is wrong, and still tells the others. So any seven
digits in a row are a telephone number and any thirteen a card, if they are no dates or years, and a bank account needs no right checksum.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import phonenumbers

from common.jobs.options import Sensitive
from services.transcriber.engine.postprocess.spoken import AT, DASH, DOT, FILLER, UNDERSCORE, Written, write

ORDER: tuple[Sensitive, ...] = ("iban", "card", "phone", "email", "number")
"""What a stretch is called that could be several."""

_LEAST_KNOWN, _LEAST_PHONE, _LEAST_CARD, _LEAST_IBAN = 5, 7, 13, 10
"""Digits in a telephone number that is known to be valid, in one that is not, in a card's and in an account's."""

_REGIONS = {
    "en": ("US", "GB"),
    "de": ("DE", "AT", "CH"),
    "fr": ("FR",),
    "es": ("ES", "MX"),
    "it": ("IT",),
    "nl": ("NL",),
    "pt": ("PT", "BR"),
    "da": ("DK",),
}

_BETWEEN = rf"(?:[ ()./{DASH}{FILLER}-]|[,?!…](?= ))*"
_RUN = re.compile(rf"(?<!\w)(?:\+ ?)?\(?\d(?:{_BETWEEN}\d)*(?!\w)")
_DATE = re.compile(r"\d{1,2}([-/.])\d{1,2}\1\d{2,4}|\d{4}([-/.])\d{1,2}\2\d{1,2}")
_YEAR = re.compile(r"(?:19|20)\d\d")

_PAUSE = r"(?:[.,](?!\w))?"
_SPELT = rf"(?: (?:\w|\d+)(?!\w){_PAUSE}){{0,40}}+"
"""What goes on after a letter that stands alone: others, and numbers."""

_DIGITS = rf"(?: \d+(?!\w){_PAUSE}){{0,40}}+"
_JOINT = rf"(?:[._+%-]| ?[{DOT}{DASH}{UNDERSCORE}] ?)"
_FIRST = rf"(?:[^\W1-9](?!\w){_PAUSE}{_SPELT}(?: \w{{2,}}+{_PAUSE})?|\w{{2,}}+{_PAUSE}|[1-9](?!\w){_PAUSE}){_DIGITS}"
_NEXT = rf"(?:\w(?!\w){_PAUSE}{_SPELT}(?: \w{{2,}}+{_PAUSE})?|\w{{2,}}+{_PAUSE}){_DIGITS}"
"""No two of their ways through a text end at the same place, or a long one would take for ever."""

_POINT = rf"(?: ?\.(?=\w)| ?{DOT} ?)"
_LABEL = rf"(?:\w(?!\w){_PAUSE}{_SPELT}|(?:\w+ ){{0,2}}?\w+(?:(?:-| ?{DASH} ?)\w+)*)"
_MIDDLE = rf"(?:\w(?!\w){_PAUSE}{_SPELT}|\w{{2,}}+)"
_TOP = rf"(?:[^\W\d_]{{2,}}|[^\W1-9_](?!\w){_PAUSE}(?: [^\W1-9_](?!\w){_PAUSE}){{1,3}})"
"""An "o" that stands alone has been taken for a zero."""

_LOCAL = rf"{_FIRST}(?:{_JOINT}{_NEXT}){{0,40}}"
_DOMAIN = rf"{_LABEL}(?:{_POINT}{_MIDDLE}){{0,9}}{_POINT}{_TOP}"
_EMAIL = re.compile(rf"(?<![\w'’]){_LOCAL} ?(?:@|{AT}) ?{_DOMAIN}(?!\w)")  # noqa: RUF001 - both apostrophes

_GAP = rf"[ .,{FILLER}{DASH}-]*"
_COUNTRY = r"(?:[A-Z]{2}|[A-Za-z][ .,-]+[A-Za-z])"
_IBAN = re.compile(rf"(?<!\w)({_COUNTRY}){_GAP}\d{_GAP}\d(?:{_GAP}(?:\d|(?:[A-Za-z]{_GAP}){{1,4}}(?=\d)))+(?!\w)")
_COUNTRIES = frozenset(
    re.findall(
        "..",
        "ADAEALATAZBABEBGBHBIBRBYCHCRCYCZDEDJDKDOEEEGESFIFKFOFRGBGEGIGLGRGTHNHRHUIEILIQISITJOKWKZLBLCLI"
        "LTLULVLYMCMDMEMKMNMRMTMUNINLNOOMPKPLPSPTQARORSRUSASCSDSESISKSMSOSTSVTLTNTRUAVAVGXKYE",
    )
)
"""Whose banks use IBANs."""


class Finding(msgspec.Struct, frozen=True):
    """Which words say what they should not."""

    kind: Sensitive
    words: range


def find(words: Sequence[str], language: str, kinds: Iterable[Sensitive]) -> list[Finding]:
    """What of `kinds` the words say, in order and apart; of several that share a word the union, by the first name in `ORDER`."""
    written = write(words, language)
    wanted = set(kinds)
    found = [finding for finding in _found(written, language) if finding.kind in wanted]
    apart: list[Finding] = []
    for finding in sorted(found, key=lambda one: (one.words.start, -one.words.stop)):
        if apart and finding.words.start < apart[-1].words.stop:
            last = apart.pop()
            kind = min(last.kind, finding.kind, key=ORDER.index)
            apart.append(Finding(kind, range(last.words.start, max(last.words.stop, finding.words.stop))))
        else:
            apart.append(finding)
    return apart


def _found(written: Written, language: str) -> Iterator[Finding]:
    yield from _emails(written)
    yield from _accounts(written)
    yield from _dialled(written)
    yield from _telephones(written, language)
    yield from (Finding("number", words) for words in written.numbers)


def _emails(written: Written) -> Iterator[Finding]:
    for match in _EMAIL.finditer(written.text):
        yield Finding("email", written.words(*match.span()))


def _accounts(written: Written) -> Iterator[Finding]:
    for match in _IBAN.finditer(written.text):
        if (match[1][0] + match[1][-1]).upper() in _COUNTRIES and _digits(match[0]) >= _LEAST_IBAN:
            yield Finding("iban", written.words(*match.span()))


def _dialled(written: Written) -> Iterator[Finding]:
    for match in _RUN.finditer(written.text):
        if _digits(match[0]) >= _LEAST_PHONE and not _is_calendar(match[0]):
            yield Finding("phone", written.words(*match.span()))
            if _digits(match[0]) >= _LEAST_CARD:
                yield Finding("card", written.words(*match.span()))


def _telephones(written: Written, language: str) -> Iterator[Finding]:
    for region in _REGIONS[language]:
        for number in phonenumbers.PhoneNumberMatcher(written.text, region, leniency=phonenumbers.Leniency.POSSIBLE):
            known = phonenumbers.is_valid_number(number.number)
            if _digits(number.raw_string) >= (_LEAST_KNOWN if known else _LEAST_PHONE) and not _is_calendar(number.raw_string):
                yield Finding("phone", written.words(number.start, number.end))


def _is_calendar(run: str) -> bool:
    """Nothing but years, or nothing but dates."""
    parts = [part.strip(" .,()/?!…") for part in re.split(rf"[ {FILLER}]+", run) if _digits(part)]
    return all(_YEAR.fullmatch(part) for part in parts) or all(_DATE.fullmatch(part) for part in parts)


def _digits(text: str) -> int:
    return sum(character.isdigit() for character in text)
