"""Which clips an archive has."""

from common.transcript import Segment
from services.transcriber.clips.plan import plan


def segment(number: int, start: float, end: float, speaker: str | None = None, channel: int | None = None) -> Segment:
    return Segment(number, start, end, f"line {number}", 0.9, (), speaker=speaker, channel=channel)


def test_a_clip_for_each_segment() -> None:
    """In the order in which they begin, named by their number; nothing else reaches a file's name unchanged."""
    clips = plan([segment(1, 2, 3), segment(0, 0, 2, "../S 1")], "segment", "mp3")
    assert [(clip.file, clip.start, clip.end, clip.segments) for clip in clips] == [
        ("clips/0001-_S_1.mp3", 0, 2, (0,)),
        ("clips/0002.mp3", 2, 3, (1,)),
    ]


def test_a_clip_for_each_turn() -> None:
    """Neighbouring segments of one speaker on one channel are one turn, as long as the longest of them."""
    lines = [segment(0, 0, 2, "A"), segment(1, 2, 5, "A"), segment(2, 4, 4.5, "A"), segment(3, 5, 6, "B"), segment(4, 6, 7, "B", channel=1)]
    clips = plan(lines, "speaker", "flac")
    assert [(clip.start, clip.end, clip.speaker, clip.channel, clip.segments) for clip in clips] == [
        (0, 5, "A", None, (0, 1, 2)),
        (5, 6, "B", None, (3,)),
        (6, 7, "B", 1, (4,)),
    ]
    assert clips[0].text == "line 0 line 1 line 2"
    assert clips[2].file == "clips/0003-B.flac"


def test_nobody_speaks() -> None:
    """Nothing to cut."""
    assert plan([], "segment", "mp3") == []
