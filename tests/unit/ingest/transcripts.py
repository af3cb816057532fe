"""Transcripts for tests of the output formats."""

from common.transcript import Language, Segment, Transcript, Word


def transcript(*segments: Segment, language: str = "en") -> Transcript:
    return Transcript(" ".join(s.text for s in segments), Language(language, 1.0), 100.0, segments, (), {}, {})


def spoken(text: str, start: float, end: float, *, speaker: str | None = None, number: int = 0) -> Segment:
    """A segment whose words, divided at spaces, take the same time each."""
    words = text.split()
    each = (end - start) / len(words)
    return Segment(
        number,
        start,
        end,
        text,
        0.9,
        tuple(Word(word, start + i * each, start + (i + 1) * each, 0.9, "aligned") for i, word in enumerate(words)),
        speaker,
    )


def written(text: str, start: float, end: float, *, speaker: str | None = None) -> Segment:
    """A segment without words."""
    return Segment(0, start, end, text, 0.9, (), speaker)


NASTY = transcript(
    written("R&D <b>bold</b> &amp; a --> b {\\i1}brace{\\i0}", 0.5, 2.25, speaker="Ann & <Bob>"),
    written('"quoted" text\twith a tab,\nand a line\n\nbreak\x00\x0b', 3.0, 5.5),
    spoken("שלום, מה שלומך היום?", 6.0, 8.0, speaker="SPEAKER_01"),
    written("你好，世界！", 3661.0, 3662.5, speaker="SPEAKER_01"),
)
"""Everything that a format could stumble over."""

SAID = (
    "R&D <b>bold</b> &amp; a --> b {\\i1}brace{\\i0}",
    '"quoted" text with a tab, and a line break',
    "שלום, מה שלומך היום?",
    "你好，世界！",
)
