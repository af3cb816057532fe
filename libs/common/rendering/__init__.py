"""A transcript in the formats that people ask for, rendered on request from the stored document.

Subtitles are laid out once, by `cues`; each format's writer only writes. An option that a format has no use for is refused, not ignored.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from common.rendering import plain, srt, ttml, vtt
from common.rendering.layout import Layout
from common.rendering.verbose import verbose
from common.transcript import Transcript, encode

Format = Literal["json", "text", "srt", "vtt", "tsv", "ttml", "verbose_json"]

MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "text": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "tsv": "text/tab-separated-values; charset=utf-8",
    "ttml": "application/ttml+xml; charset=utf-8",
    "verbose_json": "application/json",
}

_LAID_OUT = frozenset(field.name for field in msgspec.structs.fields(Layout))
_USED: dict[Format, frozenset[str]] = {
    "json": frozenset(),
    "text": frozenset({"speaker_labels"}),
    "srt": _LAID_OUT,
    "vtt": _LAID_OUT,
    "tsv": frozenset({"speaker_labels"}),
    "ttml": _LAID_OUT - {"highlight_words"},
    "verbose_json": frozenset(),
}


_TEXTS: dict[Literal["text", "srt", "vtt", "tsv"], Callable[[Transcript, Layout], str]] = {
    "text": plain.text,
    "srt": srt.render,
    "vtt": vtt.render,
    "tsv": plain.tsv,
}


class Origin(msgspec.Struct, frozen=True):
    """What the job says about its transcript and the transcript itself does not."""

    task: Literal["transcribe", "translate"] = "transcribe"
    temperature: float = 0.0


def render(transcript: Transcript, kind: Format, layout: Layout, origin: Origin) -> bytes:
    """UTF-8 bytes of `MEDIA_TYPES[kind]`."""
    if kind == "json":
        return encode(transcript)
    if kind == "verbose_json":
        return msgspec.json.encode(verbose(transcript, task=origin.task, temperature=origin.temperature))
    if kind == "ttml":
        language = "en" if origin.task == "translate" else transcript.language.code
        return ttml.render(transcript, layout, language=language).encode()
    return _TEXTS[kind](transcript, layout).encode()


def formats_with(name: str) -> list[Format]:
    """Those that a layout option has an effect on."""
    return [kind for kind, names in _USED.items() if name in names]


def negotiate(accept: str) -> Format:
    """The format that an `Accept` header likes best (the first, of equals) among those there are; JSON when it asks for none of them."""
    known: dict[str, Format] = {}
    for name, media in MEDIA_TYPES.items():
        known.setdefault(media.partition(";")[0], name)
    wanted = [_preference(part) for part in accept.split(",")]
    found = [(quality, known[kind]) for kind, quality in wanted if kind in known and quality > 0]
    return max(found, key=lambda pair: pair[0])[1] if found else "json"


def _preference(part: str) -> tuple[str, float]:
    kind, *parameters = (text.strip().lower() for text in part.split(";"))
    quality = next((text[2:] for text in parameters if text.startswith("q=")), "1")
    try:
        return kind, float(quality)
    except ValueError:
        return kind, 0.0
