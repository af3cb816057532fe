"""What a transcript says of how it came to be; nothing is really heard."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from common.errors import TransientError
from common.transcript import Doubt, Language, Note, Redaction, Transcript
from services.transcriber.engine.alignment.alignment import Alignment
from services.transcriber.engine.channels import settle
from services.transcriber.engine.checkpoints import Checkpoints
from services.transcriber.engine.diarization.speech_turns import Loaded, SpeechTurns
from services.transcriber.engine.engine import Engine
from services.transcriber.engine.failures import Cancelled
from services.transcriber.engine.hardware import Hardware
from services.transcriber.engine.heard import Chunk, Heard, HeardWord, Span
from services.transcriber.engine.media import SAMPLE_RATE, Audio, Samples, decode
from services.transcriber.engine.postprocess.redaction import MARGIN
from services.transcriber.engine.recording import Recording, Task
from services.transcriber.engine.shelf import Shelf
from services.transcriber.engine.speech import find_speech
from services.transcriber.engine.stages import Stages
from services.transcriber.protocol import Event, Options, StageDone
from tests import recordings

SILENCE = np.zeros(9 * SAMPLE_RATE, np.int16)
SPEECH = (Span(0.0, 2.0),)
HELLO = Heard((Chunk(Span(0.0, 2.0), SPEECH, (HeardWord(" Hello.", 0.9),), "en"),), "en", 1.0)


class Deaf:
    """Is asked nothing."""

    def hear(self, tasks: Sequence[Task], batch_size: int) -> list[Heard]:
        raise AssertionError((tasks, batch_size))


def no_pipeline() -> Loaded:
    raise AssertionError


def finished(heard: Heard, audio: Audio, speech: tuple[Span, ...] = SPEECH, options: Options | None = None) -> Transcript:
    engine = Engine(Deaf(), Alignment(()), SpeechTurns(Shelf(), no_pipeline), Hardware("cpu", "int8", 4, 1), {"asr": "none"})
    options = options or Options(align=False)
    return engine.finish(Recording(audio, speech, options, Stages("job", list[Event]().append, options)), heard)


def codes(notes: tuple[Note, ...]) -> list[str]:
    return [note.code for note in notes]


def test_what_was_guarded_against_is_told_with_its_time() -> None:
    """What is missing, what nobody said, what went round in circles; and what could not be decoded."""
    heard = Heard(HELLO.chunks, "en", 1.0, lost=(Span(2.0, 3.5),), invented=(Span(4.0, 5.0), Span(6.0, 7.0)), looped=(Span(0.0, 2.0),))
    transcript = finished(heard, Audio(SILENCE, damaged=True))
    assert codes(transcript.warnings) == ["damaged_audio", "part_lost", "invented_text", "repetition"]
    assert "2.0-3.5" in transcript.warnings[1].message
    assert "4.0-5.0, 6.0-7.0" in transcript.warnings[2].message
    assert codes(transcript.degradations) == []


def test_a_language_that_nobody_asked_for_is_told_with_its_time() -> None:
    """In a warning and in the quality report."""
    heard = Heard(HELLO.chunks, "ru", 1.0, foreign=(Span(0.0, 2.0),))
    transcript = finished(heard, Audio(SILENCE, damaged=False), options=Options(language="en", align=False))
    assert codes(transcript.warnings) == ["other_language"]
    assert transcript.quality is not None
    assert Doubt(0.0, 2.0, "other_language") in transcript.quality.needs_review


def test_a_recording_of_which_every_part_was_lost_is_tried_again() -> None:
    """An empty transcript would say that nobody speaks; and a strict job has all of its parts or none."""
    with pytest.raises(TransientError, match=r"engine_failed: .* every part"):
        finished(Heard((), "und", 0.0, lost=SPEECH), Audio(SILENCE, damaged=False))
    partly = Heard(HELLO.chunks, "en", 1.0, lost=(Span(2.0, 3.5),))
    with pytest.raises(TransientError, match=r"engine_failed: .* on part"):
        finished(partly, Audio(SILENCE, damaged=False), options=Options(align=False, strict=True))


def test_a_quality_that_cannot_be_told_costs_no_words() -> None:
    """Samples of a shape that nobody can assess."""
    odd: Samples = np.full((SAMPLE_RATE, 2), 32_767, np.int16)
    transcript = finished(HELLO, Audio(odd, damaged=False))
    assert (transcript.text, transcript.quality, codes(transcript.degradations)) == ("Hello.", None, ["quality_failed"])


def test_channels_that_are_speakers_are_not_told_apart_by_voice() -> None:
    """A copy among them is left out; who asked for speakers as well is told so."""
    noise = np.random.default_rng(3).normal(0, 3_000, (2, 9 * SAMPLE_RATE)).astype(np.int16)
    audio = settle([noise[0], noise[1], noise[0] // 2], damaged=False, split=True)
    transcript = finished(HELLO, audio, options=Options(align=False, diarize=True, channels="split"))
    assert codes(transcript.warnings) == ["duplicate_channels", "speakers_by_channel"]
    assert [segment.speaker for segment in transcript.segments] == ["CHANNEL_0"]


def test_where_nobody_speaks_there_is_no_language() -> None:
    """Whatever the recogniser made of the noise; one that was named stays."""
    noise = Heard((Chunk(Span(0.0, 2.0), SPEECH, (), "en"),), "en", 0.33, invented=SPEECH)
    assert finished(noise, Audio(SILENCE, damaged=False)).language == Language("und", 0.0)
    named = finished(noise, Audio(SILENCE, damaged=False), options=Options(align=False, language="en"))
    assert named.language.code == "en"


def test_what_was_not_understood_is_redacted_with_the_rest() -> None:
    """Lost, refused, invented, in circles, foreign, or without words: a number may have been said there, and nobody can look for it."""
    audio = Audio(np.zeros(60 * SAMPLE_RATE, np.int16), damaged=False)
    speech = (Span(0.0, 2.0), Span(40.0, 42.0), Span(50.0, 55.0))
    heard = Heard(
        HELLO.chunks,
        "en",
        1.0,
        lost=(Span(10.0, 12.0),),
        refused=(Span(15.0, 16.0),),
        invented=(Span(20.0, 21.0),),
        looped=(Span(30.0, 33.0),),
        foreign=(Span(35.0, 36.0),),
    )
    redacted = finished(heard, audio, speech, Options(redact=("phone",)))
    assert [(each.start, each.end, each.kind) for each in redacted.redactions] == [
        (10.0, 12.0, "unheard"),
        (15.0, 16.0, "unheard"),
        (20.0, 21.0, "unheard"),
        (30.0, 33.0, "unheard"),
        (35.0, 36.0, "unheard"),
        (50.0, 55.0, "unheard"),
    ]
    assert finished(heard, audio, speech, Options(redact=("phone",), vad=False)).redactions[-1].start == 35.0
    assert finished(heard, audio, speech).redactions == ()


@pytest.mark.parametrize(
    "options",
    [
        Options(redact=("phone",), vad=False),
        Options(redact=("phone",), vad_threshold=0.99),
        Options(redact=("phone",), vad_min_silence=0.0, vad_padding=0.0),
    ],
    ids=["without", "deaf", "in pieces"],
)
def test_speech_without_words_is_redacted_whatever_the_detector_was_told(tmp_path: Path, options: Options) -> None:
    """A detector that is switched off or tuned down is for what is heard; where words are missing the usual one looks."""
    (tmp_path / "talk.wav").write_bytes(recordings.sample())
    audio = decode(tmp_path / "talk.wav")
    nothing = Heard((), "en", 1.0)
    usual = finished(nothing, audio, tuple(find_speech(audio.samples, lambda _: None)), Options(redact=("phone",))).redactions
    assert sum(each.end - each.start for each in usual) > 20
    assert finished(nothing, audio, (), options).redactions == usual


def test_a_number_without_times_is_silenced_in_all_that_was_heard_with_it() -> None:
    """On its own channel, whatever is heard on the other at that time."""
    words = tuple(HeardWord(f" {word}", 0.9) for word in ("Hello", "415", "555", "2671"))
    other = Chunk(Span(0.0, 3.0), (Span(0.0, 3.0),), (HeardWord(" Yes.", 0.9),), "en")
    noise = np.random.default_rng(3).normal(0, 3_000, (2, 9 * SAMPLE_RATE)).astype(np.int16)
    audio = settle([noise[0], noise[1]], damaged=False, split=True)
    assert audio.tape is not None
    span = Span(audio.tape.stride + 1.0, audio.tape.stride + 6.0)
    later = Span(span.end, span.end + 2.0)
    bye = Chunk(later, (later,), (HeardWord(" Bye.", 0.9),), "en")
    heard = Heard((other, Chunk(span, (span,), words, "en"), bye), "en", 1.0)
    redacted = finished(heard, audio, (), Options(redact=("phone",), channels="split"))
    assert redacted.text == "Yes. Hello [PHONE] Bye."
    assert redacted.redactions == (Redaction(1.0 - MARGIN, 6.0 + MARGIN, "phone"),)


def test_those_who_are_heard_together_say_how_many_they_are() -> None:
    """Or their time would be counted for each of them."""

    class Keen(Deaf):
        def hear(self, tasks: Sequence[Task], batch_size: int) -> list[Heard]:  # noqa: ARG002 - the interface
            return [HELLO for _ in tasks]

    engine = Engine(Keen(), Alignment(()), SpeechTurns(Shelf(), no_pipeline), Hardware("cpu", "int8", 4, 1), {"asr": "none"})
    told = list[Event]()
    engine.hear([Recording(Audio(SILENCE, damaged=False), SPEECH, Options(), Stages(name, told.append, Options())) for name in "ab"])
    assert [event.together for event in told if isinstance(event, StageDone)] == [2, 2]


def test_hearing_ends_when_nobody_waits_for_any_of_them() -> None:
    """Who hears may ask in between, from any thread, and is told by its progress; one that is left is reason enough to go on."""
    cancelled: set[str] = set()
    heard: list[set[str]] = []

    class Asking(Deaf):
        def hear(self, tasks: Sequence[Task], batch_size: int) -> list[Heard]:  # noqa: ARG002 - the interface
            for name in "ab":
                for task in tasks:
                    task.stay()
                    task.on_progress(0.5)
                heard.append(set(cancelled))
                cancelled.add(name)
            with pytest.raises(Cancelled):
                tasks[0].on_progress(1.0)
            tasks[0].stay()
            raise AssertionError

    def stages(name: str) -> Stages:
        return Stages(name, list[Event]().append, Options(), cancelled=lambda: name in cancelled)

    engine = Engine(Asking(), Alignment(()), SpeechTurns(Shelf(), no_pipeline), Hardware("cpu", "int8", 4, 1), {"asr": "none"})
    with pytest.raises(Cancelled):
        engine.hear([Recording(Audio(SILENCE, damaged=False), SPEECH, Options(), stages(name)) for name in "ab"])
    assert heard == [set(), {"a"}]


def test_what_an_earlier_attempt_missed_is_not_missed_for_ever(tmp_path: Path) -> None:
    """It lost a part, and placed what it had; this one hears all, and its words are those that are placed."""
    options = Options()
    whole = Heard((*HELLO.chunks, Chunk(Span(3.0, 5.0), (), (HeardWord(" Diane.", 0.9),), "en")), "en", 1.0)

    class Better(Deaf):
        def __init__(self, found: Heard) -> None:
            self.found = found

        def hear(self, tasks: Sequence[Task], batch_size: int) -> list[Heard]:  # noqa: ARG002 - the interface
            return [self.found for _ in tasks]

    def attempt(found: Heard) -> Transcript:
        checkpoints = Checkpoints(tmp_path, {"transcribe": "same", "align": "same"}, 0.0, lambda _stage: None)
        stages = Stages("job", list[Event]().append, options, checkpoints=checkpoints)
        engine = Engine(Better(found), Alignment(()), SpeechTurns(Shelf(), no_pipeline), Hardware("cpu", "int8", 4, 1), {"asr": "none"})
        recording = Recording(Audio(SILENCE, damaged=False), SPEECH, options, stages)
        [heard] = engine.hear([recording])
        return engine.finish(recording, heard)

    assert attempt(msgspec.structs.replace(HELLO, lost=(Span(3.0, 5.0),))).text == "Hello."
    again = attempt(whole)
    assert (again.text, codes(again.warnings)) == ("Hello. Diane.", [])
    taken_over = attempt(HELLO)
    assert (taken_over.text, list(taken_over.timings)) == ("Hello. Diane.", ["postprocess"])


def test_a_translation_is_no_other_language() -> None:
    """Its lines say that they are English; what is spoken is what the recording's language is, and nobody has to look at it for that."""
    translated = finished(Heard(HELLO.chunks, "fr", 1.0), Audio(SILENCE, damaged=False), options=Options(task="translate"))
    assert [segment.language for segment in translated.segments] == ["en"]
    assert translated.quality is not None
    assert list(translated.quality.languages) == ["fr"]
    assert translated.quality.needs_review == ()
