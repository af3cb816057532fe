"""Every output format, read back by a parser that is not ours."""

import csv
import io
import math
import re
from xml.etree import ElementTree as ET

import pysubs2
import pytest
import srt
import ttconv.imsc.reader
import ttconv.isd
import webvtt
from openai.types.audio import TranscriptionVerbose
from wcwidth import width

from common.rendering import Format, Origin, formats_with, negotiate, render
from common.rendering.layout import Layout
from common.transcript import Transcript, decode
from tests.unit.ingest.transcripts import NASTY, SAID, spoken, transcript, written

TIMES = [(500, 2250), (3000, 5500), (6000, 8000), (3_661_000, 3_662_500)]
LABELS = ("Ann & <Bob>: ", "", "SPEAKER_01: ", "SPEAKER_01: ")
MARK = "\u200f"
WIDE = Layout(max_line_length=80, max_cps=1000)


def rendered(document: Transcript, kind: Format, layout: Layout = WIDE, origin: Origin = Origin()) -> str:  # noqa: B008 - frozen
    return render(document, kind, layout, origin).decode()


def test_srt() -> None:
    """The srt package and pysubs2 find the same times and texts; a speaker stands in front; nothing is lost to markup."""
    text = rendered(NASTY, "srt")
    found = list(srt.parse(text, ignore_errors=False))
    assert [(cue.start.total_seconds() * 1000, cue.end.total_seconds() * 1000) for cue in found] == TIMES
    assert [cue.index for cue in found] == [1, 2, 3, 4]
    assert [cue.content.replace("\n", " ").removeprefix(MARK) for cue in found] == [a + b for a, b in zip(LABELS, SAID, strict=True)]
    assert [(cue.start, cue.end) for cue in pysubs2.SSAFile.from_string(text, format_="srt")] == TIMES


def test_vtt() -> None:
    """webvtt-py finds times, texts and voices; what would be markup or an arrow is escaped."""
    text = rendered(NASTY, "vtt")
    found = webvtt.from_string(text).captions
    assert [(cue.start, cue.end) for cue in found] == [
        ("00:00:00.500", "00:00:02.250"),
        ("00:00:03.000", "00:00:05.500"),
        ("00:00:06.000", "00:00:08.000"),
        ("01:01:01.000", "01:01:02.500"),
    ]
    assert [unescaped(re.sub("<[^>]*>", "", cue.raw_text)) for cue in found] == list(SAID)
    assert [cue.voice and unescaped(cue.voice) for cue in found] == ["Ann & <Bob>", None, "SPEAKER_01", "SPEAKER_01"]
    assert text.count("-->") == len(found)


def unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def test_ttml(caplog: pytest.LogCaptureFixture) -> None:
    """ttconv, an IMSC reader, objects to nothing and shows each text at its time, nothing between; pysubs2 agrees; speakers are agents."""
    text = rendered(NASTY, "ttml", origin=Origin(task="translate"))
    root = ET.fromstring(text.encode())  # noqa: S314 - our own
    tt, ttm, xml = "{http://www.w3.org/ns/ttml}", "{http://www.w3.org/ns/ttml#metadata}", "{http://www.w3.org/XML/1998/namespace}"
    assert root.get(f"{xml}lang") == "en"
    agents = {agent.get(f"{xml}id"): agent.findtext(f"{ttm}name") for agent in root.iter(f"{ttm}agent")}
    paragraphs = list(root.iter(f"{tt}p"))
    assert [agents.get(p.get(f"{ttm}agent")) for p in paragraphs] == ["Ann & <Bob>", None, "SPEAKER_01", "SPEAKER_01"]
    assert [p.get("style") for p in paragraphs] == [None, None, "rtl", None]
    document = ttconv.imsc.reader.to_model(ET.ElementTree(root))
    assert document is not None
    assert caplog.messages == []
    assert [(cue.start, cue.end) for cue in pysubs2.SSAFile.from_string(text, format_="ttml")] == TIMES
    for (start, end), said in zip(TIMES, SAID, strict=True):
        for at, expected in ((start - 1, ""), (start, said), (end - 1, said), (end, "")):
            isd = ttconv.isd.ISD.from_model(document, at / 1000)
            shown = "".join(
                element.get_text() for region in isd.iter_regions() for element in region.dfs_iterator() if hasattr(element, "get_text")
            )
            assert shown == expected


def test_tsv() -> None:
    """A reader of tab-separated values without quoting finds Whisper's columns, and one for speakers since there are some."""
    [head, *rows] = csv.reader(io.StringIO(rendered(NASTY, "tsv")), delimiter="\t", quoting=csv.QUOTE_NONE)
    assert head == ["start", "end", "text", "speaker"]
    assert [(int(row[0]), int(row[1])) for row in rows] == TIMES
    assert [row[2] for row in rows] == list(SAID)
    assert [row[3] for row in rows] == ["Ann & <Bob>", "", "SPEAKER_01", "SPEAKER_01"]
    assert rendered(NASTY, "tsv", Layout(speaker_labels=False)).splitlines()[0] == "start\tend\ttext"


def test_verbose_json() -> None:
    """OpenAI's own client reads it, word for word, and finds what follows from the transcript."""
    document = transcript(spoken("Good good good day.", 1.0, 3.0, speaker="SPEAKER_00"))
    found = TranscriptionVerbose.model_validate_json(rendered(document, "verbose_json", origin=Origin("transcribe", 0.2)), strict=True)
    assert (found.language, found.duration, found.text) == ("english", 100.0, "Good good good day.")
    assert found.segments is not None
    assert found.words is not None
    [segment] = found.segments
    assert (segment.seek, segment.start, segment.end, segment.temperature) == (100, 1.0, 3.0, 0.2)
    assert math.isclose(segment.avg_logprob, math.log(0.9))
    assert [(word.word, word.start, word.end) for word in found.words][1] == ("good", 1.5, 2.0)


def test_json_is_the_document() -> None:
    """Nothing is lost on the way."""
    assert decode(rendered(NASTY, "json").encode()) == NASTY


def test_text() -> None:
    """A line a segment; a speaker stands in front of what they say, unless labels are off."""
    assert [line.removeprefix(MARK) for line in rendered(NASTY, "text").splitlines()] == [a + b for a, b in zip(LABELS, SAID, strict=True)]
    assert rendered(NASTY, "text", Layout(speaker_labels=False)).splitlines() == list(SAID)


SCRIPTS = {
    "Hebrew": ("he", "פגישה", "שלום, אני קורא לכם מתל אביב. ה-iPhone שלי נשבר!"),
    "Arabic": ("ar", "محمد", "مرحبا، كيف حالك؟ عندي 3 أسئلة عن Windows."),
    "Chinese": ("zh", "王小明", "你好，世界！这是一句没有空格的长句子，里面有《书名》和“引号”。"),
    "Japanese": ("ja", "田中さん", "こんにちは、「世界」。ラーメンを食べましょう、ちょっと待って！"),
    "Korean": ("ko", "김철수", "안녕하세요, 여러분. 만나서 반갑습니다!"),
    "Thai": ("th", "สมชาย", "สวัสดีครับวันนี้อากาศดีมาก"),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_with_speakers(script: str) -> None:
    """Each parser finds the whole text and the name, in lines of the width that was asked for; no mark is taken for text."""
    language, name, said = SCRIPTS[script]
    document = transcript(written(said, 1.0, 7.0, speaker=name), language=language)
    narrow = Layout(max_line_length=24, max_lines=3, max_duration=60, max_cps=1000)

    def joined(lines: list[str]) -> str:
        return "".join("".join(lines).replace(MARK, "").split())

    subtitles = [line for cue in srt.parse(rendered(document, "srt", narrow)) for line in cue.content.splitlines()]
    assert joined(subtitles).startswith(joined([f"{name}:"]))
    assert joined(subtitles).replace(joined([f"{name}:"]), "") == joined([said])
    assert all(width(line) <= 24 for line in subtitles)
    captions = webvtt.from_string(rendered(document, "vtt", narrow)).captions
    assert {caption.voice for caption in captions} == {name}
    assert joined([caption.text for caption in captions]) == joined([said])
    [_, row] = csv.reader(io.StringIO(rendered(document, "tsv")), delimiter="\t", quoting=csv.QUOTE_NONE)
    assert row[2:] == [said, name]
    assert rendered(document, "text").strip().removeprefix(MARK) == f"{name}: {said}"
    root = ET.fromstring(rendered(document, "ttml", narrow).encode())  # noqa: S314 - our own
    paragraphs = list(root.iter("{http://www.w3.org/ns/ttml}p"))
    assert joined(["".join(p.itertext()) for p in paragraphs]) == joined([said])
    assert {p.get("style") for p in paragraphs} == {"rtl" if script in {"Hebrew", "Arabic"} else None}
    assert TranscriptionVerbose.model_validate_json(rendered(document, "verbose_json")).text == said


def test_right_to_left_text_without_labels() -> None:
    """A line of it that begins with a foreign name is marked all the same."""
    document = transcript(written("iPod של אבא שלי", 0, 2), written("שלום", 3, 4))
    assert rendered(document, "text").splitlines() == [f"{MARK}iPod של אבא שלי", "שלום"]


@pytest.mark.parametrize("kind", ["text", "srt", "vtt", "tsv", "ttml", "verbose_json"])
def test_nothing_said(kind: Format) -> None:
    """A recording without speech renders in every format."""
    text = rendered(transcript(), kind)
    if kind == "vtt":
        assert text == "WEBVTT\n"
    elif kind in {"text", "srt"}:
        assert text == ""
    elif kind == "ttml":
        ET.fromstring(text.encode())  # noqa: S314 - our own


@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_highlighted_words(kind: Format) -> None:
    """A cue for each word, which is underlined, and none for the silence but the plain text; times follow on without a gap."""
    document = transcript(spoken("One (two) three.", 1.0, 4.0))
    layout = Layout(highlight_words=True)
    found = pysubs2.SSAFile.from_string(rendered(document, kind, layout), format_=kind)
    assert [(cue.start, cue.end) for cue in found] == [(1000, 2000), (2000, 3000), (3000, 4000)]
    assert [re.findall("<u>(.*?)</u>", line) for line in rendered(document, kind, layout).splitlines() if "<u>" in line] == [
        ["One"],
        ["(two)"],
        ["three."],
    ]
    assert {re.sub("{[^}]*}", "", cue.text) for cue in found} == {"One (two) three."}


def test_highlighted_words_are_no_flood() -> None:
    """However the layout is chosen, what is highlighted is some fifty times as long as what is not."""
    document = transcript(*(spoken("a bc def " * 50, at, at + 60) for at in range(0, 600, 60)))
    plain = len(rendered(document, "srt", Layout()))
    with pytest.raises(ValueError, match="highlight_words takes cues of 256 columns"):
        Layout(max_lines=10, max_line_length=200, max_duration=60, highlight_words=True)
    widest = Layout(max_lines=2, max_line_length=128, max_duration=60, highlight_words=True)
    assert len(rendered(document, "srt", widest)) < 100 * plain


def test_right_to_left_lines_that_begin_otherwise_are_marked() -> None:
    """A label or a foreign name in front would turn the whole line round; a number does not, and Hebrew needs no mark."""
    document = transcript(written("שלום לכולם.", 0, 2, speaker="A"), written("iPod של אבא שלי", 3, 5), written("2026 שנים", 6, 8))
    assert [cue.content[0] for cue in srt.parse(rendered(document, "srt"))] == [MARK, MARK, "2"]
    assert MARK not in rendered(document, "ttml")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("text/html, text/vtt, application/json;q=0.9", "vtt"),
        ("text/vtt;q=0.5, application/x-subrip;q=0.8", "srt"),
        ("TEXT/PLAIN", "text"),
        ("application/ttml+xml", "ttml"),
        ("text/tab-separated-values", "tsv"),
        ("text/vtt;q=0", "json"),
        ("text/vtt;q=much", "json"),
        ("image/png", "json"),
    ],
)
def test_negotiation(accept: str, expected: str) -> None:
    """The best liked format that there is wins; without one it is JSON."""
    assert negotiate(accept) == expected


def test_options_have_formats() -> None:
    """Every layout option has an effect on some format, and on those that are said to have it alone."""
    assert formats_with("highlight_words") == ["srt", "vtt"]
    assert formats_with("max_cps") == ["srt", "vtt", "ttml"]
    assert formats_with("speaker_labels") == ["text", "srt", "vtt", "tsv", "ttml"]
