"""A transcript in the formats that people ask for, rendered on request from the stored document.

Subtitles go through pysubs2; a cue is a segment, with its speaker in front when there is one.
"""

from typing import Literal

from pysubs2 import SSAEvent, SSAFile

from common.transcript import Segment, Transcript, encode

Format = Literal["json", "text", "srt", "vtt"]

MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "text": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}


def render(transcript: Transcript, kind: Format) -> bytes:
    """UTF-8 bytes of `MEDIA_TYPES[kind]`."""
    if kind == "json":
        return encode(transcript)
    if kind == "text":
        return "".join(f"{_line(segment)}\n" for segment in transcript.segments).encode()
    subtitles = SSAFile()
    subtitles.events = [_cue(segment) for segment in transcript.segments]
    return subtitles.to_string(kind).encode()


def negotiate(accept: str) -> Format:
    """The format that an `Accept` header asks for first among those there are; JSON when it asks for none of them."""
    wanted = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    known = {media.partition(";")[0]: name for name, media in MEDIA_TYPES.items()}
    return next((known[kind] for kind in wanted if kind in known), "json")


def _cue(segment: Segment) -> SSAEvent:
    cue = SSAEvent(start=round(segment.start * 1000), end=round(segment.end * 1000))
    cue.plaintext = _line(segment)
    return cue


def _line(segment: Segment) -> str:
    text = segment.text.strip()
    return text if segment.speaker is None else f"{segment.speaker}: {text}"
