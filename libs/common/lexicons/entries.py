"""What a lexicon holds: how words are to be written that a recogniser gets wrong, and words that it should expect."""

from typing import Annotated

import msgspec

TRIMMED = r"^[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$(?!\n)"
"""One line without spaces around it, in a regular expression that means the same in JSON Schema."""

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=TRIMMED)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=TRIMMED)]


class Correction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is heard as `from` is written as `to`. Neither is a pattern; either may be several words.

    `match_case`: only where the letters' case is the same. `whole_word`: not inside a longer word.
    """

    from_: _Text = msgspec.field(name="from")
    to: _Text
    match_case: bool = False
    whole_word: bool = True


class Entries(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a lexicon holds, and a job's copy of it."""

    corrections: Annotated[tuple[Correction, ...], msgspec.Meta(max_length=1_000)] = ()
    hotwords: Annotated[tuple[_Name, ...], msgspec.Meta(max_length=200)] = ()


class Draft(Entries, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A lexicon as its owner writes it."""

    name: _Name

    def __post_init__(self) -> None:
        seen: set[tuple[str, bool]] = set()
        for number, correction in enumerate(self.corrections):
            key = (correction.from_ if correction.match_case else correction.from_.casefold(), correction.match_case)
            if key in seen:
                raise ValueError(f"corrections[{number}].from is there twice: {correction.from_!r}")
            seen.add(key)
