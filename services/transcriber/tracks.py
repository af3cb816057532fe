"""Which of a file's audio tracks is heard: the one in the language that was asked for, else the one that players take.

Films carry a track for each language, and some for comments or for people who cannot see the picture, which are taken last. Tags are
believed as they are: a track without one may be in any language, and is taken only when no other fits.
"""

from collections.abc import Sequence
from typing import NamedTuple

import langcodes
from langcodes.tag_parser import LanguageTagError

from common.transcript import AudioTrack

_SAME_LANGUAGE = 10
"""CLDR's distance: variants of one language are nearer (pt-BR to pt, nb to no), neighbouring languages farther."""


class Track(NamedTuple):
    """What a container says of one; `language` as it is written there, in whatever standard. `aside`: a comment or a description.

    `known`: there is a decoder for it.
    """

    language: str | None
    default: bool = False
    aside: bool = False
    known: bool = True


def choose(tracks: Sequence[Track], language: str | None) -> AudioTrack:
    """One of at least one."""
    spoken = [number for number, track in enumerate(tracks) if language is not None and track.known and _is(track.language, language)]
    number = min(spoken or range(len(tracks)), key=lambda each: _rank(tracks[each]))
    chosen = tracks[number]
    return AudioTrack(
        number=number + 1,
        of=len(tracks),
        language=chosen.language,
        chosen="language" if spoken else "default" if chosen.default else "first",
    )


def _rank(track: Track) -> tuple[bool, bool, bool]:
    """The first of the lowest is taken."""
    return not track.known, track.aside, not track.default


def _is(tag: str | None, language: str) -> bool:
    try:
        code = langcodes.Language.get(tag or "und").language
    except LanguageTagError:
        return False
    return code is not None and langcodes.tag_distance(language, code) <= _SAME_LANGUAGE
