"""What has been heard of a job so far, told as it is heard and kept nowhere.

A worker notifies, ingest shows it to whoever watches the job at that moment. Unlike other notifications this one carries what it tells:
a lost one is a line that nobody sees before the transcript is there.
"""

from collections.abc import Iterator, Sequence

import msgspec

from common.ids import JobId

CHANNEL = "job_partial"

_MOST_CHARACTERS = 1_000
"""Of one segment's text: half a minute of the fastest talker, and in any script and escaping less than a payload takes."""

_MOST_BYTES = 7_800
"""Of the segments in one payload; Postgres takes less than 8,000 of all."""


class PartialSegment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Seconds from the start of the recording, and what is heard there; `channel` where channels are transcribed apart.

    Provisional: another one that begins at the same second (of the same channel) replaces it, and the transcript replaces them all.
    """

    start: float
    end: float
    text: str
    channel: int | None = None


class Partials(msgspec.Struct, frozen=True):
    """A notification's payload."""

    job_id: str
    segments: tuple[PartialSegment, ...]


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Partials).decode


def payloads(job_id: JobId, segments: Sequence[PartialSegment]) -> Iterator[str]:
    """The segments in as few payloads as Postgres takes; a text that is longer than any that is spoken is cut."""
    together: list[PartialSegment] = []
    size = 0
    for segment in segments:
        fitting = msgspec.structs.replace(segment, text=segment.text[:_MOST_CHARACTERS])
        more = len(encode(fitting)) + len(",")
        if size + more > _MOST_BYTES:
            yield encode(Partials(str(job_id), tuple(together))).decode()
            together, size = [], 0
        together.append(fitting)
        size += more
    if together:
        yield encode(Partials(str(job_id), tuple(together))).decode()
