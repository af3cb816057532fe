"""Which clips there are to cut: one for each segment, turn of a speaker or line of a reference, in the order in which they begin."""

from collections.abc import Iterable, Iterator
from itertools import groupby

import msgspec

from common.archives import By, line_clip, segment_clip
from common.transcript import ReferenceLine, Segment, Transcript


class Clip(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Seconds of the recording, of one of its channels or of all; `segments` are the ids of those that are in it.

    The rest is told of a reference's line only: its number, and what the transcript says of it.
    """

    file: str
    start: float
    end: float
    speaker: str | None
    channel: int | None
    text: str
    segments: tuple[int, ...]
    number: int | None = None
    coverage: float | None = None
    readings: int | None = None
    cutoff_uncertain: bool | None = None


def plan(transcript: Transcript, by: By, suffix: str) -> list[Clip]:
    """Clips named by their number, so that files sort as they are heard, and by their speaker; those of lines by the line's."""
    if by == "line":
        found = transcript.reference.lines if transcript.reference else ()
        return sorted((_line(line, transcript.segments, suffix) for line in found), key=lambda clip: (clip.start, clip.end))
    ordered = sorted(transcript.segments, key=lambda segment: (segment.start, segment.end))
    groups = [[segment] for segment in ordered] if by == "segment" else list(_turns(ordered))
    return [_clip(segment_clip(number, len(groups), group[0].speaker, suffix), group) for number, group in enumerate(groups, 1)]


def _turns(segments: list[Segment]) -> Iterator[list[Segment]]:
    for _, group in groupby(segments, key=lambda segment: (segment.speaker, segment.channel)):
        yield list(group)


def _clip(file: str, group: list[Segment]) -> Clip:
    first = group[0]
    return Clip(
        file=file,
        start=first.start,
        end=max(segment.end for segment in group),
        speaker=first.speaker,
        channel=first.channel,
        text=" ".join(segment.text for segment in group),
        segments=tuple(segment.id for segment in group),
    )


def _line(line: ReferenceLine, segments: Iterable[Segment], suffix: str) -> Clip:
    """All channels of it: a line may be shared by several speakers."""
    return Clip(
        file=line_clip(line.number, suffix),
        start=line.start,
        end=line.end,
        speaker=None,
        channel=None,
        text=line.text,
        segments=tuple(segment.id for segment in segments if segment.start < line.end and line.start < segment.end),
        number=line.number,
        coverage=line.coverage,
        readings=line.readings,
        cutoff_uncertain=line.cutoff_uncertain,
    )
