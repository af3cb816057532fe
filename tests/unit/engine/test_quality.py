"""The report on a transcript's quality."""

import time

import msgspec
import numpy as np
import pytest

from common.transcript import Doubt, Quality, Segment, Word
from services.transcriber.engine.heard import Span
from services.transcriber.engine.media import SAMPLE_RATE, Audio, Samples, Tape
from services.transcriber.engine.quality import MOST_DOUBTS, assess, clipped_stretches
from tests.unit.engine.postprocess.said import said


def hum(seconds: float, level: float = 0.1) -> Samples:
    """A hum of 200 Hz; above 1 it is cut off."""
    wave = level * np.sin(2 * np.pi * 200 * np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE)
    return np.asarray(np.clip(wave, -1, 1) * 32_767, np.int16)


def scored(text: str, *scores: float, start: float = 0.0) -> Segment:
    segment = said(text, start)
    words = tuple(msgspec.structs.replace(word, score=score) for word, score in zip(segment.words, scores, strict=True))
    return msgspec.structs.replace(segment, words=words, confidence=sum(scores) / len(scores))


def report(*segments: Segment, seconds: float = 20.0, speech: tuple[Span, ...] = ()) -> Quality:
    return assess(Audio(hum(seconds), damaged=False), speech, segments, "en")


def reasons(quality: Quality) -> list[tuple[float, float, str]]:
    return [(doubt.start, doubt.end, doubt.reason) for doubt in quality.needs_review]


def test_a_good_recording() -> None:
    """Nothing to listen to again, and numbers that say so."""
    quality = report(said("a good and clear line"), said("and one more", 6.0), speech=(Span(0.0, 5.0), Span(5.9, 9.0)))
    assert quality == Quality(speech_ratio=0.405, clipped_ratio=0.0, confidence=0.9, languages={"en": 8.0}, needs_review=())


def test_nobody_looked_for_speech() -> None:
    """Then the lines are what there is of it."""
    quality = assess(Audio(hum(20.0), damaged=False), None, [said("a good and clear line")], "en")
    assert (quality.speech_ratio, quality.needs_review) == (0.25, ())


def test_nothing_said() -> None:
    """Is no doubt."""
    assert report() == Quality(speech_ratio=0.0, clipped_ratio=0.0, confidence=0.0, languages={}, needs_review=())


def test_doubtful_words() -> None:
    """Three in a row, or a second and a half of them; a whole line when it is doubtful as a whole. One word is not worth the trouble."""
    one = scored("a b c d e f", 0.9, 0.9, 0.1, 0.9, 0.9, 0.9)
    assert (
        report(msgspec.structs.replace(one, words=tuple(msgspec.structs.replace(w, end=w.start + 0.5) for w in one.words))).needs_review
        == ()
    )
    assert reasons(report(scored("a b c d e f", 0.9, 0.9, 0.1, 0.2, 0.9, 0.9))) == [(2.0, 4.0, "low_confidence")]
    assert reasons(report(scored("a b c", 0.4, 0.6, 0.2))) == [(0.0, 3.0, "low_confidence")]


def test_speech_without_words() -> None:
    """What the detector took for speech and nobody understood; short noises are none."""
    quality = report(said("hello there", 4.0), speech=(Span(0.0, 7.5), Span(9.0, 11.0), Span(14.0, 20.0)))
    assert reasons(quality) == [(0.0, 4.0, "unheard"), (14.0, 20.0, "unheard")]


@pytest.mark.parametrize("sign", [1, -1])
def test_clipping(sign: int) -> None:
    """Told by tenths of a second; to be reviewed only where somebody speaks. A loud signal that fits is not clipped."""
    samples = np.concatenate([hum(2.0), sign * np.abs(hum(1.0, 3.0)), hum(2.0, 0.95), sign * np.abs(hum(0.5, 2.0)), hum(4.5)])
    assert clipped_stretches(samples) == [Span(2.0, 3.0), Span(5.0, 5.5)]
    quality = assess(Audio(samples, damaged=False), (), [said("well well", 1.5)], "en")
    assert quality.clipped_ratio == 0.15
    assert reasons(quality) == [(2.0, 3.0, "clipped")]


def test_repetition() -> None:
    """A line that goes round in circles, and the same line again and again; "yes" may be said as often as one likes."""
    circles = said("I went to the shop I went to the shop")
    assert [reason for *_, reason in reasons(report(circles))] == ["repetition"]
    again = [said("Thanks for watching.", start) for start in (0.0, 4.0, 8.0)]
    assert reasons(report(*again)) == [(0.0, 11.0, "repetition")]
    assert reasons(report(*again[:2])) == []
    assert reasons(report(*(said("Yes.", start) for start in (0.0, 2.0, 4.0, 6.0)))) == []


def test_languages_and_overlap() -> None:
    """Seconds of each language, the longest first; stretches in another one, and of two at once, are to be reviewed."""
    other = msgspec.structs.replace(said("bon jour", 10.0), language="fr")
    both = msgspec.structs.replace(said("no I", 14.0), overlap=True)
    quality = report(said("this is in English"), other, both)
    assert quality.languages == {"en": 6.0, "fr": 2.0}
    assert list(quality.languages) == ["en", "fr"]
    assert reasons(quality) == [(10.0, 12.0, "other_language"), (14.0, 16.0, "overlap")]


def test_channels_on_a_tape() -> None:
    """Their times are the recording's; speech on both at once counts once."""
    samples = np.concatenate([hum(10.0), np.zeros(30 * SAMPLE_RATE, np.int16), hum(5.0), hum(1.0, 3.0), hum(4.0)])
    audio = Audio(samples, damaged=False, tape=Tape((0, 1), seconds=10.0, stride=40.0))
    left, right = msgspec.structs.replace(said("we speak", 1.0), channel=0), msgspec.structs.replace(said("at once", 5.0), channel=1)
    quality = assess(audio, (Span(1.0, 4.0), Span(43.0, 46.0)), [left, right], "en")
    assert quality.speech_ratio == 0.5
    assert reasons(quality) == [(5.0, 6.0, "clipped")]


def test_what_one_channel_says_covers_no_speech_on_another() -> None:
    """A line of the left channel is no reason to believe that nothing is missing of the right one at the same time."""
    audio = Audio(hum(50.0), damaged=False, tape=Tape((0, 1), seconds=10.0, stride=40.0))
    left = msgspec.structs.replace(said("we go on and on and on", 1.0), channel=0)
    quality = assess(audio, (Span(1.0, 8.0), Span(41.0, 47.0)), [left], "en")
    assert reasons(quality) == [(1.0, 7.0, "unheard")]


def test_an_hour_is_cheap() -> None:
    """Whatever is wrong with the recording; and the list has an end."""
    samples = np.tile(np.concatenate([hum(0.5, 1.5), hum(0.5)]), 3_600)
    words = tuple(Word(f"w{n}", n * 0.4, n * 0.4 + 0.3, 0.1, "asr") for n in range(9_000))
    segments = [
        Segment(n, words[n * 10].start, words[n * 10 + 9].end, f"line {n}", 0.1, words[n * 10 : n * 10 + 10], channel=n % 2)
        for n in range(900)
    ]
    speech = tuple(Span(n * 10.0, n * 10.0 + 5) for n in range(360))
    began = time.process_time()
    quality = assess(Audio(samples, damaged=False), speech, segments, "en")
    assert time.process_time() - began < 20
    assert len(quality.needs_review) <= MOST_DOUBTS
    assert Doubt(0.0, 3_599.9, "low_confidence") in quality.needs_review
