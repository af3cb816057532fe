"""Which clips an archive has."""

from common.transcript import Diagnostics, Language, ReferenceLine, ReferenceReport, Segment, Transcript
from services.transcriber.clips.plan import plan


def segment(number: int, start: float, end: float, speaker: str | None = None, channel: int | None = None) -> Segment:
    return Segment(number, start, end, f"line {number}", 0.9, (), speaker=speaker, channel=channel)


def transcript(*segments: Segment, reference: ReferenceReport | None = None) -> Transcript:
    return Transcript("", Language("en", 1.0), 10.0, segments, (), {}, {}, reference=reference)


def test_a_clip_for_each_segment() -> None:
    """In the order in which they begin, named by their number; nothing else reaches a file's name unchanged."""
    clips = plan(transcript(segment(1, 2, 3), segment(0, 0, 2, "../S 1")), "segment", "mp3")
    assert [(clip.file, clip.start, clip.end, clip.segments) for clip in clips] == [
        ("clips/0001-_S_1.mp3", 0, 2, (0,)),
        ("clips/0002.mp3", 2, 3, (1,)),
    ]


def test_a_clip_for_each_turn() -> None:
    """Neighbouring segments of one speaker on one channel are one turn, as long as the longest of them."""
    lines = [segment(0, 0, 2, "A"), segment(1, 2, 5, "A"), segment(2, 4, 4.5, "A"), segment(3, 5, 6, "B"), segment(4, 6, 7, "B", channel=1)]
    clips = plan(transcript(*lines), "speaker", "flac")
    assert [(clip.start, clip.end, clip.speaker, clip.channel, clip.segments) for clip in clips] == [
        (0, 5, "A", None, (0, 1, 2)),
        (5, 6, "B", None, (3,)),
        (6, 7, "B", 1, (4,)),
    ]
    assert clips[0].text == "line 0 line 1 line 2"
    assert clips[2].file == "clips/0003-B.flac"


def test_nobody_speaks() -> None:
    """Nothing to cut."""
    assert plan(transcript(), "segment", "mp3") == []


def test_a_clip_for_each_line() -> None:
    """In the order in which they are said, named by their own numbers; without a reference there are none."""
    common = {"coverage": 0.9, "readings": 2, "cutoff_uncertain": True}
    lines = (
        ReferenceLine(number=3, text="Three.", start=4.0, end=6.0, **common),  # type: ignore[arg-type]
        ReferenceLine(number=12, text="Twelve.", start=0.5, end=2.5, **common),  # type: ignore[arg-type]
    )
    about = Diagnostics(lines=2, found=2, coverage=1.0, missing=(), repeated=(), unmatched=(), last_end=6.0, input_end=10.0)
    said = transcript(segment(0, 0, 2, "A"), segment(1, 2, 3, "B"), segment(2, 5, 6, "A"), reference=ReferenceReport(lines, about))
    clips = plan(said, "line", "wav")
    assert [(clip.file, clip.number, clip.text, clip.start, clip.end, clip.segments, clip.speaker) for clip in clips] == [
        ("clips/line-0012.wav", 12, "Twelve.", 0.5, 2.5, (0, 1), None),
        ("clips/line-0003.wav", 3, "Three.", 4.0, 6.0, (2,), None),
    ]
    assert {(clip.coverage, clip.readings, clip.cutoff_uncertain) for clip in clips} == {(0.9, 2, True)}
    assert plan(transcript(segment(0, 0, 2)), "line", "wav") == []
