"""What a server wrote and nobody said, taken out as where Whisper hears in this process (`guards`), as far as an answer shows it.

How sure the server is that somebody speaks counts where it says so, and its own words are looked through for loops; nothing is heard again.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from services.transcriber.engine import guards
from services.transcriber.engine.heard import Chunk, Span
from services.transcriber.engine.media import SAMPLE_RATE, Samples
from services.transcriber.engine.remote.answer import Said


class Guarded(NamedTuple):
    """What is left, where nothing is, and what was cut down to one turn of a loop."""

    chunks: list[Chunk]
    invented: list[Span]
    looped: list[Span]


def guard(said: Iterable[Said], samples: Samples) -> Guarded:
    """`samples` is the whole recording."""
    guarded = Guarded([], [], [])
    for chunk, doubted in said:
        stretch = samples[int(chunk.span.start * SAMPLE_RATE) : int(chunk.span.end * SAMPLE_RATE)]
        if doubted or (len(stretch) and guards.silent(stretch)):
            guarded.invented.append(chunk.span)
            continue
        begin = chunk.span.start
        words = guards.collapsed(chunk.words, [Span(each.start - begin, each.end - begin) for each in chunk.speech])
        if len(words) < len(chunk.words):
            guarded.looped.append(chunk.span)
        guarded.chunks.append(msgspec.structs.replace(chunk, words=tuple(words)))
    return guarded
