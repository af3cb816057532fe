"""What Whisper wrote and nobody said."""

import numpy as np
import pytest

from common.transcript import Note
from services.transcriber.engine.guards import collapsed, silent, told, unspoken
from services.transcriber.engine.heard import HeardWord, Span
from services.transcriber.engine.media import Tape


def words(text: str) -> list[HeardWord]:
    return [HeardWord(f" {word}", 0.5) for word in text.split()]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", ""),
        ("Thank you for watching.", "Thank you for watching."),
        ("No, no, no, no.", "No, no, no, no."),
        ("very very " * 2 + "good", "very very very very good"),
        ("So " + "yeah, " * 40 + "well", "So yeah, well"),
        ("And then I went home. " * 6 + "Bye.", "And then I went home. Bye."),
        ("I know. " * 4, "I know. " * 4),
        ("I know. " * 30, "I know."),
        ("4 " + "1 " * 15 + "thanks", "4 " + "1 " * 15 + "thanks"),
        ("5. " * 40, "5."),
        ("4 2 " * 9, "4 2 " * 9),
        ("a b c d e f g h i j k l m " * 4, "a b c d e f g h i j k l m " * 4),
    ],
)
def test_loops_are_collapsed_and_speech_is_not(text: str, kept: str) -> None:
    """People repeat a word or two, and dictate numbers; nobody says the same sentence four times in a row."""
    assert [word.text.strip() for word in collapsed(words(text), [Span(0.0, 30.0)])] == kept.split()


def test_what_is_said_in_a_stretch_of_its_own_each_time_is_kept() -> None:
    """Ten times "Hello world" with pauses between is what somebody said; in one breath, or untimed, it is how Whisper fails."""
    heard = [
        word
        for turn in range(10)
        for word in (HeardWord(" Hello", 0.9, 2.0 * turn, 2.0 * turn + 0.5), HeardWord(" world", 0.9, 2.0 * turn + 0.5, 2.0 * turn + 1.0))
    ]
    pauses = [Span(2.0 * turn, 2.0 * turn + 1.2) for turn in range(10)]
    assert collapsed(heard, pauses) == heard
    assert collapsed([*heard, HeardWord(" Bye", 0.9, 20.0, 20.4)], [*pauses[:9], Span(18.0, 30.0)])[-1].text == " Bye"
    assert collapsed(heard, [*pauses[:3], *pauses[4:]]) == heard
    assert len(collapsed(heard, pauses[::2])) == 2
    assert len(collapsed(heard, [Span(0.0, 30.0)])) == 2
    assert len(collapsed(words("Hello world " * 10), pauses)) == 2


def test_whispers_doubt_counts_only_when_it_is_unsure_of_the_words_too() -> None:
    """Its probability of no speech alone is often high over clear speech."""
    assert unspoken(0.9, 0.2)
    assert not unspoken(0.9, 0.6)
    assert not unspoken(0.3, 0.2)
    assert unspoken(0.9, 0.0)


def test_silence_is_what_nobody_can_hear() -> None:
    """Digital silence and a faint hiss; a tenth of a second of quiet sound is none."""
    hiss = np.random.default_rng(1).integers(-8, 9, 16_000).astype(np.int16)
    assert silent(np.zeros(16_000, np.int16))
    assert silent(np.zeros(10, np.int16))
    assert silent(hiss)
    sound = hiss.copy()
    sound[8_000:9_600] = 300
    assert not silent(sound)


def test_places_are_told_once_and_with_the_recordings_times() -> None:
    """Channels that were laid one after the other are brought back; a long list is cut short."""
    assert told("code", "Something", [], None) == ()
    assert told("code", "Something", [Span(1.0, 2.5), Span(8.0, 9.0)], None) == (Note("code", "Something (seconds 1.0-2.5, 8.0-9.0)."),)
    assert told("code", "Something", [Span(101.0, 102.0)], Tape((0, 1), 60.0, 100.0))[0].message == "Something (seconds 1.0-2.0)."
    assert told("code", "Something", [Span(1.0, 2.0)] * 12, None)[0].message.endswith(" and 2 more places).")
