"""Output formats, from one small transcript."""

import pytest

from common.transcript import Language, Segment, Transcript
from services.ingest.rendering import negotiate, render


def transcript(*segments: Segment) -> Transcript:
    return Transcript(" ".join(s.text for s in segments), Language("en", 1.0), 10.0, segments, (), {}, {})


def test_text_has_a_line_for_each_segment() -> None:
    """A speaker stands in front of what they say."""
    found = render(transcript(Segment(0, 0, 1, " Hi. ", 1, (), speaker="A"), Segment(1, 1, 2, "Well?", 1, ())), "text")
    assert found.decode() == "A: Hi.\nWell?\n"


def test_nothing_said() -> None:
    """A recording without speech renders in every format."""
    empty = transcript()
    assert render(empty, "text") == b""
    assert render(empty, "srt").decode().strip() == ""
    assert render(empty, "vtt").decode().strip() == "WEBVTT"


def test_cues_keep_milliseconds_and_scripts() -> None:
    """Times are rounded to the millisecond; letters of any script survive."""
    found = render(transcript(Segment(0, 0.0004, 3_723.4567, "שלום 你好 <b>", 1, ())), "srt").decode()
    assert "00:00:00,000 --> 01:02:03,457" in found
    assert "שלום 你好 <b>" in found


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("text/html, text/vtt;q=0.9, application/json", "vtt"),
        ("TEXT/PLAIN", "text"),
        ("application/x-subrip", "srt"),
        ("image/png", "json"),
    ],
)
def test_negotiation(accept: str, expected: str) -> None:
    """The first format in the header that there is wins; without one it is JSON."""
    assert negotiate(accept) == expected
