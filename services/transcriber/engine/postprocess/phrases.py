"""Words that are looked for as they stand, with any spaces between them: never as patterns, and whole unless asked otherwise."""

import re

SPACELESS = re.compile(
    # Thai to Khmer, Chinese, Japanese
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Characters of scripts that put no spaces between words, where a word's edge cannot be seen."""


def phrase(text: str, *, match_case: bool, whole_word: bool = True, endings: str = "") -> re.Pattern[str]:
    """What finds `text`, followed by what the pattern `endings` allows."""
    pattern = r"\s+".join(re.escape(word) for word in text.split()) + endings
    if whole_word:
        pattern = f"{_edge(text[0], '(?<!W)')}{pattern}{_edge(text[-1], '(?!W)')}"
    return re.compile(pattern, 0 if match_case else re.IGNORECASE)


def first_word(text: str) -> str:
    """What a line must have, in its casefolded text, for `text` to be found in it."""
    return text.split(maxsplit=1)[0].casefold()


def _edge(character: str, condition: str) -> str:
    """A sign such as `+` ends a word by itself, and no edge can be seen in a script without spaces."""
    return condition.replace("W", r"\w") if re.match(r"\w", character) and not SPACELESS.match(character) else ""
