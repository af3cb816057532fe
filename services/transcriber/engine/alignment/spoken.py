"""From a word as it is written to what is said: numbers in words, without the marks around them."""

import re

from g2p2 import expand_numbers

_MARK = "[.,'\u2019\u00a0\u202f]"
_PARTS = re.compile(rf"\d{{1,3}}(?:{_MARK}\d{{3}})+(?!\d)|\d+|%|[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_LETTERS = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")

_PERCENT = {"en": "percent", "es": "por ciento", "fr": "pour cent", "it": "per cento", "ru": "процентов"}

_LONGEST_NUMBER = 6
"""Digits without a mark between thousands; more are a number to call, not to count."""


def spoken(word: str, language: str) -> list[str]:
    """Lower-case words, empty for one of marks alone: "$12" is "twelve"; what currencies are called is left out."""
    said: list[str] = []
    for part in _PARTS.findall(word):
        if part[0].isdecimal():
            said += [expand_numbers(number, language) for number in _numbers(part, language)]
        else:
            said.append(_PERCENT.get(language, "") if part == "%" else part)
    return _LETTERS.findall(" ".join(said).lower().replace("\u2019", "'"))


def _numbers(digits: str, language: str) -> list[str]:
    """What is said as one: a number, each digit of a long one, or both halves of what is a year to English ears."""
    bare = re.sub(_MARK, "", digits)
    if bare != digits:
        return [bare]
    if len(digits) > 2 and not digits.strip("0"):
        return []  # the thousands of a number with spaces in it: how they are said depends on the word before
    if len(digits) > _LONGEST_NUMBER or (len(digits) > 1 and digits.startswith("0")):
        return list(digits)
    if language == "en" and len(digits) == 4 and digits[2] != "0":
        return [digits[:2], digits[2:]]
    return [digits]
