"""Lines that people read."""

import random

from services.transcriber.engine.lines import LONGEST_CHARACTERS, LONGEST_SECONDS, lay_out, segments
from services.transcriber.engine.words import PlacedWord


def speak(text: str, seconds: float = 0.3, gap: float = 0.05, start: float = 0.0) -> list[PlacedWord]:
    """Words of `text` at an even pace."""
    pace = seconds + gap
    return [
        PlacedWord(f" {word}", round(start + i * pace, 3), round(start + i * pace + seconds, 3), 0.9, "asr", "en")
        for i, word in enumerate(text.split())
    ]


def texts(words: list[PlacedWord]) -> list[str]:
    return [segment.text for segment in segments(lay_out(words), "en")]


def test_a_sentence_is_a_line() -> None:
    """Lines end where sentences end, quotes included."""
    assert texts(speak('Hello there. How are you? "Fine!" Good')) == ["Hello there.", "How are you?", '"Fine!"', "Good"]


def test_a_pause_ends_a_line() -> None:
    """Nobody's line runs across a second of silence."""
    assert texts([*speak("and then"), *speak("he came back", start=2.5)]) == ["and then", "he came back"]


def test_a_long_sentence_breaks_after_a_clause() -> None:
    """A line that grows too long is cut at a comma in its later half when it has one."""
    long = "one two three four five six seven eight nine ten eleven twelve, thirteen fourteen fifteen sixteen seventeen eighteen"
    assert texts(speak(long, seconds=0.8)) == [
        long.split(" thirteen", maxsplit=1)[0],
        "thirteen fourteen fifteen sixteen seventeen eighteen",
    ]


def test_a_long_line_without_marks_breaks_in_its_longest_gap() -> None:
    """Without punctuation the best place to break is where the speaker took a breath."""
    words = [*speak("word " * 20, gap=0.02), *speak("next " * 20, start=6.9, gap=0.02)]
    assert texts(words)[0] == ("word " * 20).strip()


def test_scripts_without_spaces_stay_without() -> None:
    """Words are joined as the recogniser heard them."""
    words = [PlacedWord(text, i * 0.3, i * 0.3 + 0.3, 0.9, "asr", "en") for i, text in enumerate(["今日", "は", "晴れ。", "明日", "も"])]
    assert texts(words) == ["今日は晴れ。", "明日も"]


def test_every_word_is_in_one_line_and_lines_are_short() -> None:
    """Nothing is lost, nothing is repeated, and only a single word can be longer than a line may be."""
    chance = random.Random(3)  # noqa: S311 - the same every time, on purpose
    for _ in range(50):
        clock, words = 0.0, []
        for _ in range(chance.randint(0, 300)):
            clock += chance.choice([0.0, 0.05, 0.3, 1.5])
            length = chance.uniform(0.02, 1.2)
            ending = chance.choice(["", "", "", ",", "."])
            words.append(PlacedWord(" " + "x" * chance.randint(1, 14) + ending, clock, clock + length, 0.5, "asr", "en"))
            clock += length
        lines = lay_out(words)
        assert [word for line in lines for word in line] == words
        for line in lines:
            assert line
            assert len(line) == 1 or line[-1].end - line[0].start <= LONGEST_SECONDS
            assert len(line) == 1 or sum(len(word.text) for word in line) <= LONGEST_CHARACTERS


def test_a_segment_sums_up_its_words() -> None:
    """Its times are those of its first and last word, its confidence their mean by length, its words lose their leading space."""
    words = [PlacedWord(" four", 1.0, 1.4, 1.0, "asr", "en"), PlacedWord(" four.", 1.5, 2.0, 0.5, "asr", "en")]
    (segment,) = segments([words], "en")
    assert (segment.id, segment.start, segment.end, segment.text) == (0, 1.0, 2.0, "four four.")
    assert segment.confidence == round((1.0 * 5 + 0.5 * 6) / 11, 4)
    assert [word.word for word in segment.words] == ["four", "four."]


def test_another_language_begins_another_line() -> None:
    """A line is in one language; only one that is not the transcript's is told."""
    words = [
        PlacedWord(text, i * 0.5, i * 0.5 + 0.4, 0.9, "asr", code) for i, (text, code) in enumerate([(" Yes,", "en"), (" oui.", "fr")])
    ]
    assert [(segment.text, segment.language) for segment in segments(lay_out(words), "en")] == [("Yes,", None), ("oui.", "fr")]
