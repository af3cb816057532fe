"""The lines of a reference in what was said."""

from collections.abc import Sequence
from itertools import pairwise

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from common.references.lines import Line
from common.transcript import ReferenceReport, Segment, Word
from deploy.local.service import REPOSITORY
from services.transcriber.engine.reference.report import report
from tests.unit.engine.postprocess.said import said, without_spaces

WORDS = ("a", "the", "house", "horse", "garden", "gardens", "wonderful", "—", "co-operate", "家")
LINES = [
    Line(10, "The council opens its session."),
    Line(20, "Approval of yesterday's minutes."),
    Line(30, "Gardens and playgrounds."),
    Line(40, "Adjournment until tomorrow."),
]
OPENING, MINUTES, GARDENS, END = (line.text for line in LINES)


def found(*segments: Segment, lines: Sequence[Line] = LINES) -> ReferenceReport:
    return report(segments, lines, 100.0)


def with_pauses(text: str, start: float = 0.0) -> Segment:
    """Words of half a second, each followed by as much silence."""
    segment = said(text, start)
    words = tuple(msgspec.structs.replace(word, end=word.start + 0.5) for word in segment.words)
    return msgspec.structs.replace(segment, words=words)


def test_lines_in_their_order() -> None:
    """Each with its time, whole and sure; what is said besides is told, and so is what is missing."""
    made = found(said("Good evening everybody."), said(OPENING, 4.0), said(MINUTES, 10.0), said(END, 20.0), said("Thank you.", 24.0))
    assert [(line.number, line.text, line.start, line.end) for line in made.lines] == [
        (10, OPENING, 3.8, 9.2),
        (20, MINUTES, 9.8, 14.2),
        (40, END, 19.8, 23.2),
    ]
    assert all((line.coverage, line.readings, line.cutoff_uncertain) == (1.0, 1, False) for line in made.lines)
    about = made.diagnostics
    assert (about.lines, about.found, about.missing, about.repeated) == (4, 3, (30,), ())
    assert [(span.start, span.end, span.text) for span in about.unmatched] == [
        (0.0, 3.0, "Good evening everybody."),
        (24.0, 26.0, "Thank you."),
    ]
    assert (about.last_end, about.input_end) == (23.2, 100.0)
    letters = [sum(map(str.isalpha, line.text)) for line in LINES]
    assert about.coverage == round(1 - letters[2] / sum(letters), 4)


def test_a_line_said_again_at_once_is_one_clip() -> None:
    """With all its readings in it, also those that break off."""
    made = found(said("Approval of yesterday's"), said(MINUTES, 3.0), said("of yesterday's minutes", 7.0))
    [line] = made.lines
    assert (line.start, line.end, line.coverage, line.readings) == (0.0, 10.2, 1.0, 2)
    assert made.diagnostics.repeated == ()


def test_a_line_said_again_elsewhere() -> None:
    """The fullest reading is the line's, the other one is told; of equals it is the first."""
    made = found(said("Adjournment until"), said(MINUTES, 2.0), said(END, 10.0))
    assert [(line.number, line.start) for line in made.lines] == [(20, 2.0), (40, 9.8)]
    assert [(each.number, each.start) for each in made.diagnostics.repeated] == [(40, 0.0)]
    again = found(said(MINUTES), said(GARDENS, 4.0), said(MINUTES, 10.0))
    assert [(line.number, line.start) for line in again.lines] == [(20, 0.0), (30, 4.0)]
    assert [(each.number, each.start, each.end) for each in again.diagnostics.repeated] == [(20, 9.8, 14.2)]


def test_a_line_among_its_neighbours_is_the_one_that_is_meant() -> None:
    """Rather than the same words said by chance before."""
    made = found(said("Gardens and playgrounds."), said("are my subject", 4.0), said(MINUTES, 30.0), said(GARDENS, 34.0))
    assert [(line.number, line.start) for line in made.lines] == [(20, 29.8), (30, 34.0)]
    assert [(each.number, each.start) for each in made.diagnostics.repeated] == [(30, 0.0)]


def test_short_lines() -> None:
    """Alone it takes nine letters to be found, in a row with others nothing."""
    lines = [Line(1, "Hello?"), Line(2, "Neither did I."), Line(3, "Oh.")]
    assert [line.number for line in found(said("well hello friends"), lines=lines).lines] == []
    assert [line.number for line in found(said("well then neither did I and so on"), lines=lines).lines] == [2]
    assert [line.number for line in found(said("well hello neither did I oh"), lines=lines).lines] == [1, 2, 3]


def test_half_a_minute_is_no_repetition() -> None:
    """A line that comes again after a while is said elsewhere, and its clip does not last until then."""
    made = found(said(GARDENS), said(GARDENS, 40.0))
    assert [(line.start, line.end, line.readings) for line in made.lines] == [(0.0, 3.2, 1)]
    assert [each.start for each in made.diagnostics.repeated] == [39.8]


def test_an_edge_that_was_not_heard_is_uncertain() -> None:
    """As is one that was not timed by an aligner, unless there is silence beside it."""
    assert found(said("council opens its session")).lines[0].cutoff_uncertain
    assert not found(with_pauses("the council opens session")).lines[0].cutoff_uncertain

    def guessed(segment: Segment) -> Segment:
        return msgspec.structs.replace(segment, words=tuple(msgspec.structs.replace(word, timing="asr") for word in segment.words))

    assert [line.cutoff_uncertain for line in found(guessed(said(OPENING)), guessed(said(MINUTES, 5.0))).lines] == [True, True]
    apart = found(guessed(with_pauses(OPENING, 1.0)), guessed(with_pauses(MINUTES, 9.0)))
    assert [line.cutoff_uncertain for line in apart.lines] == [False, False]


def test_less_than_half_of_a_line_is_chance() -> None:
    """Nothing was found, and everything that was said is unmatched."""
    made = found(said("we talked about the gardens yesterday evening"))
    assert (made.lines, made.diagnostics.found, made.diagnostics.coverage, made.diagnostics.last_end) == ((), 0, 0.0, None)
    assert made.diagnostics.missing == (10, 20, 30, 40)
    assert [span.text for span in made.diagnostics.unmatched] == ["we talked about the gardens yesterday evening"]


def test_nothing_is_said() -> None:
    """There is nothing to be found, and nothing too much."""
    made = found()
    assert (made.lines, made.diagnostics.unmatched) == ((), ())


def test_an_opening_formula_is_a_line_like_any_other() -> None:
    """The example in the documentation: right to left, printed with vowel points, recited with a verse said twice."""
    lines = msgspec.json.decode((REPOSITORY / "docs" / "examples" / "112-al-ikhlas.json").read_bytes(), type=list[Line])
    heard = "اعوذ بالله من الشيطان الرجيم بسم الله الرحمن الرحيم قل هو الله احد الله الصمد الله الصمد"
    heard += " لم يلد ولم يولد ولم يكن له كفوا احد صدق الله العظيم"
    made = report([said(heard)], lines, 40.0)
    assert [(line.number, line.coverage, line.readings) for line in made.lines] == [
        (0, 1.0, 1),
        (1, 1.0, 1),
        (2, 1.0, 2),
        (3, 1.0, 1),
        (4, 1.0, 1),
    ]
    assert [span.text for span in made.diagnostics.unmatched] == ["اعوذ بالله من الشيطان الرجيم", "صدق الله العظيم"]


def test_lines_may_end_within_a_word() -> None:
    """Where a script has no spaces, a recogniser's words are no borders: the word's time is divided, and the ends are uncertain."""
    lines = [Line(1, "春はあけぼのやうやう白く"), Line(2, "なりゆく山ぎは少し明りて")]
    made = report([without_spaces("春は", "あけぼの", "やうやう", "白くなり", "ゆく山ぎは", "少し", "明りて")], lines, 9.0)
    assert [(line.number, line.coverage, line.cutoff_uncertain) for line in made.lines] == [(1, 1.0, True), (2, 1.0, True)]
    assert made.lines[0].end == made.lines[1].start == 3.5


def test_words_of_channels_that_overlap() -> None:
    """Lines are found in the order in which segments begin, and none ends before it begins."""
    one, other = said(OPENING, 0.0), said(MINUTES, 2.0)
    made = found(other, one)
    assert [line.number for line in made.lines] == [10, 20]
    assert all(line.start < line.end for line in made.lines)


def test_unmatched_speech_is_shortened_and_parted_at_pauses() -> None:
    """A whole lecture that is no line is not written down twice."""
    made = found(said("word " * 100), said("after a long pause", 200.0))
    first, second = made.diagnostics.unmatched
    assert (len(first.text), first.text[-1], second.text) == (200, "…", "after a long pause")


def test_a_word_has_its_score_from_no_line() -> None:
    """Signs alone are no words, and belong to nobody."""
    dash = Word("—", 5.0, 5.1, 0.5, "asr")
    segment = msgspec.structs.replace(said(OPENING), words=(*said(OPENING).words, dash))
    assert found(segment).diagnostics.unmatched == ()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6), min_size=1, max_size=6),
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=9), max_size=8),
)
def test_what_is_reported_adds_up(lines: list[list[str]], spoken: list[list[str]]) -> None:
    """Whatever is said: each line is found or missing, has its time within the recording, and no word is both a line's and unmatched."""
    reference = [Line(number, " ".join(line)) for number, line in enumerate(lines)]
    segments, start = [], 0.0
    for text in spoken:
        segments.append(said(" ".join(text), start, pace=0.5))
        start = segments[-1].end + 1.0
    made = report(segments, reference, start)
    about = made.diagnostics
    assert sorted([*(line.number for line in made.lines), *about.missing]) == list(range(len(lines)))
    assert 0 <= about.coverage <= 1
    assert all(0 <= line.start < line.end <= start and 0.5 <= line.coverage <= 1 and line.readings > 0 for line in made.lines)
    assert {each.number for each in about.repeated} <= {line.number for line in made.lines}
    takes = sorted([*((each.start, each.end) for each in made.lines), *((each.start, each.end) for each in about.repeated)])
    assert all(one[1] <= other[0] + 0.001 for one, other in pairwise(takes))
    words = [word.start for segment in segments for word in segment.words if word.word != "—"]
    free = [word for word in words if not any(begin - 0.001 <= word < end for begin, end in takes)]
    assert free == [word for word in words if any(span.start <= word < span.end for span in about.unmatched)]
