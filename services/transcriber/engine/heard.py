"""What the recogniser hands over: words in chunks of speech, before they are placed in time and laid out in lines."""

import msgspec

from common.transcript import Note


class Span(msgspec.Struct, frozen=True):
    """Seconds from the start of the recording."""

    start: float
    end: float


class HeardWord(msgspec.Struct, frozen=True):
    """`text` keeps its leading space, so that joined words give the sentence in every script.

    Times are seconds from the start of the chunk, None when nothing aligned the word; `score` is a probability.
    """

    text: str
    score: float
    start: float | None = None
    end: float | None = None


class Chunk(msgspec.Struct, frozen=True):
    """What was heard in one stretch of at most 30 s, in which language, and where in it somebody spoke."""

    span: Span
    speech: tuple[Span, ...]
    words: tuple[HeardWord, ...]
    language: str


class Heard(msgspec.Struct, frozen=True):
    """A recording, heard; `language` is that of most of it, and `language_confidence` is 1 when it was given.

    `model` names who heard it, where that depends on the job; `notes` say what hearing had to do without. `lost` could not be transcribed,
    `refused` a server did not want, `invented` was dropped because nobody said it, `looped` was cut down to one turn of the loop.
    `foreign` sounds like another language than those that were asked for.
    """

    chunks: tuple[Chunk, ...]
    language: str
    language_confidence: float
    model: str | None = None
    notes: tuple[Note, ...] = ()
    lost: tuple[Span, ...] = ()
    refused: tuple[Span, ...] = ()
    invented: tuple[Span, ...] = ()
    looped: tuple[Span, ...] = ()
    foreign: tuple[Span, ...] = ()
