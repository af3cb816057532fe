"""What servers answer, as words in chunks."""

import pytest

from services.transcriber.engine.heard import Chunk, Span
from services.transcriber.engine.remote.answer import Answer, code, decode, said
from services.transcriber.engine.remote.parts import Part

PART = Part(Span(100.0, 110.0), (Span(100.0, 104.0), Span(106.0, 110.0)))


def chunks(answer: Answer, part: Part, language: str) -> list[Chunk]:
    return [each.chunk for each in said(answer, part, language)]


def written(answer: bytes, language: str = "en") -> list[list[str]]:
    return [[word.text for word in chunk.words] for chunk in chunks(decode(answer), PART, language)]


def test_words_take_the_marks_around_them_along() -> None:
    """OpenAI times bare words: what is written keeps its commas, quotes and dashes, and has no word too many."""
    answer = b"""{"text": "\\"Well,\\" he said - twenty-one!", "words": [{"word": "Well", "start": 0, "end": 0.5},
        {"word": "he", "start": 0.6, "end": 0.7}, {"word": "said", "start": 0.7, "end": 1}, {"word": "twenty", "start": 1, "end": 1.4},
        {"word": "one", "start": 1.4, "end": 1.8}]}"""
    [chunk] = chunks(decode(answer), PART, "en")
    assert [word.text for word in chunk.words] == [' "Well,"', " he", " said -", " twenty-one!"]
    assert [(word.start, word.end) for word in chunk.words] == [(0.0, 0.5), (0.6, 0.7), (0.7, 1.0), (1.0, 1.8)]
    assert chunk.span == Span(100.0, 101.8)


def test_a_word_that_was_not_timed_leaves_its_chunk_without_times() -> None:
    """No time is made up: the chunk's words will share its speech."""
    answer = b'{"text": "One two three", "words": [{"word": "One", "start": 0, "end": 1}, {"word": "three", "start": 2, "end": 3}]}'
    [chunk] = chunks(decode(answer), PART, "en")
    assert [(word.text, word.start) for word in chunk.words] == [(" One", None), (" two", None), (" three", None)]
    assert (chunk.span, chunk.speech) == (PART.span, PART.speech)


def test_segments_are_chunks_of_their_own() -> None:
    """Each has its words, its score and the speech inside; overlapping ones are put in order, empty ones left out."""
    answer = b"""{"text": "", "segments": [{"start": 0, "end": 5, "text": " One.", "avg_logprob": -0.1},
        {"start": 4.5, "end": 8, "text": "Two."}, {"start": 8, "end": 8, "text": " "}], "words": []}"""
    one, two = chunks(decode(answer), PART, "en")
    assert (one.span, one.speech) == (Span(100.0, 105.0), (Span(100.0, 104.0),))
    assert (two.span, two.speech) == (Span(105.0, 108.0), (Span(106.0, 108.0),))
    assert one.words[0].score == pytest.approx(0.905, abs=1e-3)
    assert (two.words[0].text, two.words[0].score) == (" Two.", 0.0)


def test_segments_may_carry_their_words() -> None:
    """As servers built on faster-whisper send them, with probabilities."""
    answer = b"""{"text": "Hi", "segments": [{"start": 1, "end": 2, "text": "Hi", "words": [
        {"word": " Hi", "start": 1.1, "end": 1.5, "probability": 0.7}]}]}"""
    [chunk] = chunks(decode(answer), PART, "en")
    assert chunk.words[0].score == 0.7
    assert chunk.words[0].start == pytest.approx(0.1)


def test_scripts_without_spaces_are_words_too() -> None:
    """Each character is one, with the mark after it; foreign words stay whole."""
    assert written('{"text": "你好,GPU 好。"}'.encode(), "zh") == [["你", "好,", "GPU", " 好。"]]


def test_nothing_said_is_no_chunk() -> None:
    """An empty text has no words, whatever else the server says."""
    assert written(b'{"text": "", "segments": [], "words": null, "usage": {"seconds": 3}}') == []


@pytest.mark.parametrize(
    ("name", "expected"), [("en", "en"), ("en-US", "en"), ("English", "en"), ("haitian creole", "ht"), ("Klingon", None), (None, None)]
)
def test_languages_go_by_code_and_by_name(name: str | None, expected: str | None) -> None:
    """OpenAI writes `english`, others `en`."""
    assert code(name) == expected


def test_nothing_is_heard_beyond_what_was_sent() -> None:
    """Some servers time the silence that they put behind an upload; what follows in the recording is another part's."""
    answer = b'{"text": "", "segments": [{"start": 8, "end": 30, "text": "One."}, {"start": 28, "end": 30, "text": "Two."}]}'
    assert [chunk.span for chunk in chunks(decode(answer), PART, "en")] == [Span(108.0, 110.0), Span(110.0, 110.0)]
