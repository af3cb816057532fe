"""Segments for tests of post-processing."""

from common.transcript import Segment, Word


def said(text: str, start: float = 0.0, *, pace: float = 1.0, speaker: str | None = None, number: int = 0) -> Segment:
    """A segment of which each word, as divided at spaces, takes `pace` seconds."""
    words = tuple(
        Word(word, start + index * pace, start + (index + 1) * pace, 0.9, "aligned", speaker=speaker)
        for index, word in enumerate(text.split())
    )
    return Segment(number, start, start + len(words) * pace, text, 0.9, words, speaker)


def without_spaces(*words: str) -> Segment:
    """A segment in a script that has none; each word takes a second."""
    timed = tuple(Word(word, index, index + 1.0, 0.9, "asr") for index, word in enumerate(words))
    return Segment(0, 0.0, float(len(words)), "".join(words), 0.9, timed)


def heard(segment: Segment) -> str:
    """What the originals of its words say was heard."""
    return " ".join(filter(None, (word.word if word.original is None else word.original for word in segment.words)))
