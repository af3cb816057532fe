"""A lexicon's corrections: found by their words, made on words with their times."""

import random
import time

import pytest

from common.lexicons.entries import Correction
from common.transcript import Segment, Word
from services.transcriber.engine.postprocess.corrections import Corrections
from tests.unit.engine.postprocess.said import heard, said, without_spaces


def corrected(segment: Segment, *corrections: Correction) -> Segment:
    [made] = Corrections(corrections).apply([segment])
    return made


@pytest.mark.parametrize(
    ("spoken", "correction", "written"),
    [
        ("We use cube control, daily.", Correction("cube control", "kubectl"), "We use kubectl, daily."),
        ("We use Cube  Control.", Correction("cube control", "kubectl"), "We use kubectl."),
        ("Ask «Meier» now", Correction("meier", "Mayer"), "Ask «Mayer» now"),
        ("meier and Meier", Correction("Meier", "Mayer", match_case=True), "meier and Mayer"),
        ("a cubed cube", Correction("cube", "kube"), "a cubed kube"),
        ("a cubed cube", Correction("cube", "kube", whole_word=False), "a kubed kube"),
        ("I write C plus plus code", Correction("c plus plus", "C++"), "I write C++ code"),
        ("I write C++ code", Correction("C++", "Rust"), "I write Rust code"),
        ("costs $5.00 (net)", Correction("$5.00", "five dollars"), "costs five dollars (net)"),
        ("a.c and abc", Correction("a.c", "dot"), "dot and abc"),
        ("Straße und STRASSE", Correction("straße", "Weg"), "Weg und STRASSE"),
        ("שלום עולם", Correction("עולם", "תבל"), "שלום תבל"),
        ("well-known fact", Correction("known", "kept"), "well-kept fact"),
    ],
)
def test_what_is_found(spoken: str, correction: Correction, written: str) -> None:
    """Words as they stand, whatever their spaces; in any case unless it matters; inside longer words only if asked; never as patterns."""
    made = corrected(said(spoken), correction)
    assert made.text == written
    assert [word.word for word in made.words] == written.split()
    assert heard(made) == " ".join(spoken.split())


def test_scripts_without_spaces() -> None:
    """A word is found wherever the recogniser has divided the text, with and without neighbours."""
    made = corrected(without_spaces("我", "住在", "北", "平市", "。"), Correction("北平", "北京"))
    assert made.text == "我住在北京市。"
    assert [word.word for word in made.words] == ["我", "住在", "北京市", "。"]
    assert (made.words[2].start, made.words[2].end, made.words[2].original) == (2.0, 4.0, "北 平市")


def test_words_that_are_replaced_one_by_one_keep_their_times() -> None:
    """Each keeps its own time, score and timing, and what was heard; one that stays the same keeps nothing."""
    made = corrected(said("in new jork today"), Correction("new jork", "New York"), Correction("nothing", "at all"))
    assert [(word.word, word.start, word.end, word.original) for word in made.words] == [
        ("in", 0.0, 1.0, None),
        ("New", 1.0, 2.0, "new"),
        ("York", 2.0, 3.0, "jork"),
        ("today", 3.0, 4.0, None),
    ]
    assert {word.timing for word in made.words} == {"aligned"}


def test_more_or_fewer_words_share_the_time() -> None:
    """One for three has all of their time, five for one divide it by their length; the first has what was heard."""
    fewer = corrected(said("a koo ber netties b"), Correction("koo ber netties", "Kubernetes"))
    assert fewer.words[1] == Word("Kubernetes", 1.0, 4.0, 0.9, "aligned", original="koo ber netties")
    more = corrected(said("the UN said", pace=2.0), Correction("un", "United Nations Organization"))
    assert [(word.word, word.start, word.end, word.timing, word.original) for word in more.words[1:4]] == [
        ("United", 2.0, 2.48, "interpolated", "UN"),
        ("Nations", 2.48, 3.04, "interpolated", ""),
        ("Organization", 3.04, 4.0, "interpolated", ""),
    ]


def test_corrections_do_not_meet() -> None:
    """The longest wins where several would fit, and what one has written is not corrected again; two in one word are both made."""
    assert corrected(said("new york city"), Correction("new york", "NY"), Correction("new york city", "NYC")).text == "NYC"
    assert corrected(said("a b"), Correction("a", "b"), Correction("b", "a")).text == "b a"
    assert corrected(said("red-green"), Correction("red", "blue"), Correction("green", "grey", match_case=True)).text == "blue-grey"


def test_segments_without_corrections_are_the_same() -> None:
    """Nothing is made anew for nothing."""
    segment = said("nothing here")
    assert corrected(segment, Correction("something", "else")) is segment
    assert corrected(segment) is segment


def test_a_text_that_is_not_its_words() -> None:
    """The whole line is then one word."""
    made = corrected(Segment(0, 1.0, 3.0, "Hello wrold", 0.5, (Word("other", 1.0, 2.0, 0.5, "asr"),)), Correction("wrold", "world"))
    assert made.text == "Hello world"
    assert [(word.word, word.start, word.end) for word in made.words] == [("Hello", 1.0, 2.0), ("world", 2.0, 3.0)]


def test_a_full_lexicon_and_a_long_recording() -> None:
    """A thousand corrections on three hours of speech take seconds."""
    draw = random.Random(1)  # noqa: S311 - words, not secrets
    vocabulary = ["".join(draw.choices("abcdefghijklmnop", k=draw.randint(2, 9))) for _ in range(5_000)]
    segments = [said(" ".join(draw.choices(vocabulary, k=12))) for _ in range(2_500)]
    corrections = [Correction(f"{vocabulary[n]} {vocabulary[-n]}" if n % 2 else vocabulary[n], "put right") for n in range(1_000)]
    began = time.process_time()
    Corrections(corrections).apply(segments)
    assert time.process_time() - began < 20
