"""Which clips there are to cut: one for each segment, or for each turn of a speaker, in the order in which they begin."""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby

import msgspec

from common.archives import By
from common.transcript import Segment

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of the recording, of one of its channels or of all; `segments` are the ids of those that are in it."""

    file: str
    start: float
    end: float
    speaker: str | None
    channel: int | None
    text: str
    segments: tuple[int, ...]


def plan(segments: Iterable[Segment], by: By, suffix: str) -> list[Clip]:
    """Clips named by their number, so that files sort as they are heard, and by their speaker."""
    ordered = sorted(segments, key=lambda segment: (segment.start, segment.end))
    groups = [[segment] for segment in ordered] if by == "segment" else list(_turns(ordered))
    digits = max(4, len(str(len(groups))))
    return [_clip(f"{number:0{digits}}", group, suffix) for number, group in enumerate(groups, 1)]


def _turns(segments: list[Segment]) -> Iterator[list[Segment]]:
    for _, group in groupby(segments, key=lambda segment: (segment.speaker, segment.channel)):
        yield list(group)


def _clip(name: str, group: list[Segment], suffix: str) -> Clip:
    first = group[0]
    speaker = "" if first.speaker is None else f"-{_UNSAFE.sub('_', first.speaker)}"
    return Clip(
        file=f"clips/{name}{speaker}.{suffix}",
        start=first.start,
        end=max(segment.end for segment in group),
        speaker=first.speaker,
        channel=first.channel,
        text=" ".join(segment.text for segment in group),
        segments=tuple(segment.id for segment in group),
    )
