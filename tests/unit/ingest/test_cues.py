"""How a transcript becomes cues: what is together, in which lines, from when to when."""

import random
from itertools import pairwise

import pytest
from wcwidth import width

from common.rendering.cues import Cue, cues
from common.rendering.layout import Layout
from common.transcript import Segment, Word
from tests.unit.ingest.transcripts import spoken, transcript, written

LONG = (
    "When we came to the river, which had risen in the night, the bridge was gone; nobody knew where it was. "
    "So we waited, as one does, until the evening, and then we went home on foot."
)


def lines(cue: Cue) -> list[str]:
    return ["".join(piece.text for piece in line) for line in cue.lines]


def laid_out(*segments: Segment, labelled: bool = False, layout: Layout | None = None) -> list[Cue]:
    return cues(transcript(*segments), layout or Layout(), labelled=labelled)


def test_long_speech_is_divided_at_clauses_and_sentences() -> None:
    """No cue has more or longer lines than allowed, and each ends where people would pause."""
    found = laid_out(spoken(LONG, 0, 14))
    assert [line for cue in found for line in lines(cue) if width(line) > 42] == []
    assert all(len(cue.lines) <= 2 for cue in found)
    assert " ".join(line for cue in found for line in lines(cue)) == LONG
    assert all(lines(cue)[-1][-1] in ",;." for cue in found)


def test_lines_are_of_like_length() -> None:
    """Two lines are balanced rather than the first filled up and a word left over."""
    [cue] = laid_out(spoken("The quick brown fox jumps over the lazy dog today", 0, 4))
    first, second = map(width, lines(cue))
    assert abs(first - second) < 12


def test_no_cue_has_two_speakers() -> None:
    """Neither between segments nor within one whose words change speakers."""
    words = tuple(
        Word(text, i * 0.3, i * 0.3 + 0.3, 0.9, "aligned", speaker)
        for i, (text, speaker) in enumerate([("Are", "A"), ("you", "A"), ("sure?", "A"), ("Yes,", "B"), ("very.", "B")])
    )
    found = laid_out(Segment(0, 0, 1.5, "Are you sure? Yes, very.", 0.9, words, "A"), spoken("Good.", 1.5, 1.7, speaker="A"))
    assert [(cue.speaker, lines(cue)) for cue in found] == [("A", ["Are you sure?"]), ("B", ["Yes, very."]), ("A", ["Good."])]
    assert (found[0].start, found[0].end) == (0, 900)


def test_a_label_takes_room() -> None:
    """With the speaker in front the first line is still not too long; without labels nobody is named."""
    segment = spoken("This line would be just as long as it may", 0, 3, speaker="SPEAKER_00")
    [cue] = laid_out(segment, labelled=True)
    assert lines(cue)[0].startswith("SPEAKER_00: This")
    assert all(width(line) <= 42 for line in lines(cue))
    [bare] = laid_out(segment, labelled=True, layout=Layout(speaker_labels=False))
    assert (bare.speaker, lines(bare)) == (None, ["This line would be just as long as it may"])


def test_chinese_and_japanese_break_between_characters() -> None:
    """Length counts columns, two a character; no line begins with a closing mark or ends with an opening one; no spaces appear."""
    text = "你好，世界！「引用」很长的一句话没有任何空格需要在某处断开，否则它会超出屏幕的宽度。"
    for limit in range(10, 43):
        found = laid_out(written(text, 0, 7), layout=Layout(max_line_length=limit, max_lines=1, min_duration=0))
        shown = [line for cue in found for line in lines(cue)]
        assert "".join(shown) == text
        assert all(width(line) <= limit for line in shown)
        assert not [line for line in shown if line[0] in "，。！」" or line[-1] == "「"]


def test_scripts_without_spaces_break_at_words() -> None:
    """Thai has neither spaces nor ideographs: the recogniser's words say where a line may end."""
    parts = ["ภาษาไทย", "ไม่มี", "ช่องว่าง", "ระหว่าง", "คำ"]
    words = tuple(Word(part, float(i), i + 1.0, 0.9, "asr") for i, part in enumerate(parts))
    [cue] = laid_out(Segment(0, 0, 5, "".join(parts), 0.9, words), layout=Layout(max_line_length=14, max_lines=4))
    shown = lines(cue)
    assert "".join(shown) == "".join(parts)
    ends = {"".join(parts[: i + 1]) for i in range(len(parts))}
    assert {"".join(shown[: i + 1]) for i in range(len(shown))} <= ends


def test_korean_breaks_at_spaces() -> None:
    """Its characters are wide, but its words are whole."""
    text = "오늘은 날씨가 정말 좋아서 공원에 산책하러 갔습니다"
    shown = [line for cue in laid_out(written(text, 0, 6), layout=Layout(max_line_length=16)) for line in lines(cue)]
    assert " ".join(shown) == text


def test_a_word_longer_than_a_line_is_divided_between_characters() -> None:
    """And never inside one: a letter keeps its accents, a family stays together."""
    word = "e\u0301" * 15 + "👨‍👩‍👧" * 5
    shown = [line for cue in laid_out(written(word, 0, 5), layout=Layout(max_line_length=10)) for line in lines(cue)]
    assert "".join(shown) == word
    assert all(width(line) <= 10 for line in shown)
    assert not [line for line in shown if line.startswith(("\u0301", "\u200d"))]


def test_a_short_cue_stays_as_long_as_the_next_allows() -> None:
    """`min_duration` and `max_cps` prolong a cue into silence, never into the next one, from which `min_gap` keeps it away."""
    layout = Layout(min_duration=2, max_cps=10, min_gap=0.1)
    found = laid_out(
        spoken("Yes.", 0, 0.5, speaker="A"),
        spoken("No.", 1.0, 1.5, speaker="B"),
        spoken("Thirty columns of text, or so.", 10, 11, speaker="A"),
        layout=layout,
    )
    assert [(cue.start, cue.end) for cue in found] == [(0, 900), (1000, 3000), (10_000, 13_000)]


def test_short_cues_of_one_speaker_are_joined() -> None:
    """Two that would flash by become one; not across a silence, another speaker, or the limits."""
    both = laid_out(spoken("Yes.", 0, 0.3, speaker="A"), spoken("Of course.", 0.4, 0.9, speaker="A"))
    assert [lines(cue) for cue in both] == [["Yes. Of course."]]
    assert len(laid_out(spoken("Yes.", 0, 0.3, speaker="A"), spoken("Of course.", 5, 5.5, speaker="A"))) == 2
    assert len(laid_out(spoken("Yes.", 0, 0.3, speaker="A"), spoken("Of course.", 0.4, 0.9, speaker="B"))) == 2


def test_a_long_silence_ends_a_cue() -> None:
    """Text is not shown long before it is spoken."""
    words = (Word("Wait", 0, 0.5, 0.9, "aligned"), Word("here.", 3, 3.5, 0.9, "aligned"))
    assert [(cue.start, lines(cue)) for cue in laid_out(Segment(0, 0, 3.5, "Wait here.", 0.9, words))] == [(0, ["Wait"]), (3000, ["here."])]


def test_words_that_are_not_those_of_the_text() -> None:
    """A corrected text keeps its segment's time and loses nothing."""
    words = (Word("colour", 1, 2, 0.9, "aligned"),)
    [cue] = laid_out(Segment(0, 1, 3, "The color.", 0.9, words))
    assert (lines(cue), cue.start, cue.end) == (["The color."], 1000, 3000)


def test_overlapping_speakers_have_overlapping_cues() -> None:
    """Neither is cut short because the other speaks."""
    found = laid_out(spoken("All of us are here.", 0, 4, speaker="A"), spoken("Not me.", 1, 3, speaker="B"))
    assert [(cue.start, cue.end) for cue in found] == [(0, 4000), (1000, 3000)]


@pytest.mark.parametrize("seed", range(20))
def test_rules_hold_for_any_speech(seed: int) -> None:
    """Whatever is said: all of it is shown once, in order, within the limits, and no cue ends before it begins."""
    chance = random.Random(seed)  # noqa: S311 - makes test data
    vocabulary = ["a", "well,", "house", "tremendous.", "你好世界，", "word", "שלום", "x" * 60, "(so", "there)", "3.5%", "yes?"]
    segments, clock = [], 0.0
    for _ in range(30):
        text = " ".join(chance.choices(vocabulary, k=chance.randint(1, 25)))
        seconds = chance.uniform(0.05, 20)
        segments.append(spoken(text, clock, clock + seconds, speaker=chance.choice(["A", "B", None])))
        clock += seconds + chance.choice([0, 0, 0.3, 4])
    layout = Layout(
        max_line_length=chance.randint(10, 60),
        max_lines=chance.randint(1, 4),
        min_duration=chance.uniform(0, 1),
        max_duration=chance.uniform(2, 9),
        min_gap=chance.choice([0, 0.1]),
    )
    found = laid_out(*segments, layout=layout)
    assert "".join("".join(lines(cue)) for cue in found).replace(" ", "") == "".join(s.text for s in segments).replace(" ", "")
    assert all(width(line) <= layout.max_line_length for cue in found for line in lines(cue))
    assert all(1 <= len(cue.lines) <= layout.max_lines for cue in found)
    assert all(0 < cue.end - cue.start <= layout.max_duration * 1000 + 1 for cue in found)
    assert all(before.end <= after.start for before, after in pairwise(found))
