"""Channels apart or mixed: a real conversation, put on two channels in the ways in which recordings come."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from common.errors import PermanentError
from common.jobs.partials import PartialSegment
from common.transcript import Segment, Word
from services.transcriber.engine.channels import converse, distinct, levels, load, partial, record, settle, silence_leaks, unroll
from services.transcriber.engine.gathered import Channels
from services.transcriber.engine.heard import Span
from services.transcriber.engine.media import SAMPLE_RATE, Samples, Tape, decode, read
from services.transcriber.protocol import Options
from tests.integration.engine.child import Child
from tests.integration.engine.recorded import encode
from tests.recordings import turns, wav

Sound = NDArray[np.float64]


@pytest.fixture(scope="session")
def together(conversation: Path) -> Sound:
    return decode(conversation).samples.astype(float)


@pytest.fixture(scope="session")
def voices(together: Sound) -> tuple[Sound, Sound]:
    """Each speaker of the conversation alone."""
    alone: dict[str, Sound] = {}
    for start, end, speaker in turns():
        stretch = slice(int(start * SAMPLE_RATE), int(end * SAMPLE_RATE))
        alone.setdefault(speaker, np.zeros_like(together))[stretch] = together[stretch]
    one, other = alone.values()
    return one, other


def noisy(sound: Sound) -> Samples:
    """With a line's noise of its own."""
    noise = np.random.default_rng(len(sound)).normal(0, 20, len(sound)) * (1 if sound.any() else 0)
    return (sound + np.roll(noise, int(np.abs(sound).sum()) % 1_000)).clip(-32_768, 32_767).astype(np.int16)


def write(path: Path, *channels: Samples) -> Path:
    path.write_bytes(wav(np.stack(channels, axis=1).tobytes(), len(channels)))
    return path


@pytest.mark.parametrize(
    ("make", "same"),
    [
        (lambda sound: (sound, sound), True),
        (lambda sound: (sound, 0.3 * sound), True),
        (lambda sound: (sound, -sound), True),
        (lambda sound: (sound, 0.8 * sound + 0.5 * np.roll(sound, 55)), False),
    ],
    ids=["equal", "quieter", "upside down", "another microphone"],
)
def test_dual_mono_is_one_channel(together: Sound, make: Callable[[Sound], tuple[Sound, Sound]], *, same: bool) -> None:
    """The same sound on both channels, up to loudness, sign and noise, is one; what another microphone heard is not."""
    assert distinct([noisy(sound) for sound in make(together)]) == ((0,) if same else (0, 1))


def test_copies_of_opposite_sign_do_not_cancel_out(together: Sound) -> None:
    """Dual mono is heard from one of its channels, and a job that wanted channels apart is told."""
    audio = settle([together.astype(np.int16), -together.astype(np.int16)], damaged=False, split=True)
    assert audio.tape is None
    assert np.std(audio.samples) == pytest.approx(np.std(together), rel=0.01)
    assert [note.code for note in audio.notes] == ["dual_mono"]


@pytest.mark.parametrize("channels", ["mix", "auto"])
@pytest.mark.parametrize("balance", [1.0, 0.7])
def test_a_mix_does_not_lose_what_is_upside_down(tmp_path: Path, together: Sound, channels: Channels, balance: float) -> None:
    """The second channel is the first one's opposite, and noisy: what is said is heard, and the job is told."""
    noise = np.random.default_rng(5).normal(0, np.std(together) / 5, (2, len(together)))
    path = write(tmp_path / "opposite.wav", *(sound.astype(np.int16) for sound in (together + noise[0], -balance * together + noise[1])))
    audio = load(path, Options(channels=channels))
    assert np.corrcoef(audio.samples, together)[0, 1] > 0.9
    assert np.std(audio.samples) == pytest.approx(np.std(together), rel=0.1)
    assert [note.code for note in audio.notes] == ["opposite_channels"]


@pytest.mark.parametrize("channels", ["mix", "auto"])
def test_a_stereo_recording_is_the_mean_of_its_channels(tmp_path: Path, together: Sound, channels: Channels) -> None:
    """Two microphones, of which one hears more, and later."""
    pair = noisy(together), noisy(0.8 * together + 0.5 * np.roll(together, 55))
    audio = load(write(tmp_path / "stereo.wav", *pair), Options(channels=channels))
    assert audio.samples == pytest.approx(np.mean(pair, axis=0), abs=1)
    assert audio.notes == ()


def scene(one: Sound, other: Sound) -> tuple[Sound, Sound]:
    return one + 0.7 * other, 0.7 * one + other


def call(one: Sound, other: Sound) -> tuple[Sound, Sound]:
    return one, other


def leaking_call(one: Sound, other: Sound) -> tuple[Sound, Sound]:
    return one + 0.2 * np.roll(other, 300), other + 0.2 * np.roll(one, 300)


def one_sided(one: Sound, other: Sound) -> tuple[Sound, Sound]:
    return one + other, 0 * one


@pytest.mark.parametrize(("make", "apart"), [(call, True), (leaking_call, True), (scene, False), (one_sided, False)])
def test_auto_tells_a_call_from_a_scene(
    voices: tuple[Sound, Sound], make: Callable[[Sound, Sound], tuple[Sound, Sound]], *, apart: bool
) -> None:
    """Two parties who talk in turn are apart, even when a little of each leaks; a room with two microphones or one voice is not."""
    channels = [noisy(sound) for sound in make(*voices)]
    assert converse(levels(channels)) == apart
    assert (settle(channels, damaged=False, split=False).tape is not None) == apart


def test_leaks_are_silenced_and_voices_are_not(voices: tuple[Sound, Sound]) -> None:
    """Of the other's voice little is left in each channel; of its own nothing is lost."""
    channels = [noisy(sound) for sound in leaking_call(*voices)]
    before = [channel.copy() for channel in channels]
    silence_leaks(channels)
    for number, own in enumerate(voices):
        other = (voices[1 - number] != 0) & (own == 0)
        assert np.square(channels[number][other], dtype=float).sum() < 0.3 * np.square(before[number][other], dtype=float).sum()
        assert (channels[number] == before[number])[own != 0].mean() > 0.95


def test_two_voices_at_once_are_both_kept(voices: tuple[Sound, Sound]) -> None:
    """A quiet party is not taken for a leak of the loud one who talks at the same time."""
    one, other = noisy(voices[0]), noisy(np.roll(voices[1], 2 * SAMPLE_RATE) * 0.3)
    kept = other.copy()
    silence_leaks([one, other])
    assert (other == kept)[np.roll(voices[1], 2 * SAMPLE_RATE) != 0].mean() > 0.9


def test_what_is_heard_is_shown_at_its_channels_times() -> None:
    """On a tape, the place says which channel it is; else times are the recording's already."""
    tape = Tape((0, 3), seconds=40.0, stride=90.0)
    assert partial(Span(95.0, 131.0), "no", tape) == PartialSegment(start=5.0, end=40.0, text="no", channel=3)
    assert partial(Span(95.0, 131.0), "no", None) == PartialSegment(start=95.0, end=131.0, text="no")


def test_segments_return_to_their_channels() -> None:
    """The tape's times become the recording's, in order; silence lies between channels."""
    samples, seconds, stride = record([np.full(SAMPLE_RATE, 1, np.int16)] * 2)
    assert (len(samples), seconds, stride) == (120 * SAMPLE_RATE, 1.0, 60.0)
    tape = Tape((0, 3), seconds, stride)
    word = Word("yes", 0.5, 0.9, 1.0, "asr")
    late = Word("no", 60.1, 61.05, 1.0, "asr")
    first, second = unroll([Segment(0, 0.5, 0.9, "yes", 1.0, (word,)), Segment(1, 60.1, 61.05, "no", 1.0, (late,))], tape)
    assert (first.id, first.text, first.channel, first.speaker, first.start, first.end) == (0, "no", 3, "CHANNEL_3", 0.1, 1.0)
    assert (second.id, second.channel, second.words[0].start, second.words[0].speaker) == (1, 0, 0.5, "CHANNEL_0")
    assert second.overlap, "another channel speaks all the while"
    assert not first.overlap, "but only during less than half of the longer word"


def test_more_channels_than_can_be_apart_are_mixed(tmp_path: Path, together: Sound) -> None:
    """Nine channels become one and the job is told, or is refused when it is strict; eight are kept apart."""
    path = write(tmp_path / "nine.wav", *[noisy(np.roll(together, each * SAMPLE_RATE)) for each in range(9)])
    audio = load(path, Options(channels="split"))
    assert (audio.tape, audio.seconds, [note.code for note in audio.notes]) == (None, 30.0, ["channels_mixed"])
    with pytest.raises(PermanentError) as refusal:
        load(path, Options(channels="split", strict=True))
    assert refusal.value.code == "too_many_channels"
    eight = write(tmp_path / "eight.wav", *[noisy(np.roll(together, each * SAMPLE_RATE)[: 2 * SAMPLE_RATE]) for each in range(8)])
    assert load(eight, Options(channels="split")).tape == Tape(tuple(range(8)), 2.0, 60.0)


def test_a_cinemas_channels_are_no_parties(tmp_path: Path, together: Sound) -> None:
    """`auto` leaves a surround mix to the decoder's own down-mix; who wants its channels apart says so."""
    path = encode(tmp_path / "a.flac", together.astype(np.int16), "flac", layout="5.1")
    assert [len(read(path, wanted).samples) for wanted in ("mix", "auto", "split")] == [1, 1, 6]


def test_each_channel_is_a_speaker(engine: Child, tmp_path: Path, voices: tuple[Sound, Sound]) -> None:
    """A call whose parties leak a little: each line has its channel and speaker, is written once, and stands at its own time."""
    path = write(tmp_path / "call.wav", *[noisy(sound) for sound in leaking_call(*voices)])
    transcript = engine.transcribe(path, Options(channels="auto", diarize=True, language="en"))
    assert transcript.duration == 30.0
    assert [segment.start for segment in transcript.segments] == sorted(segment.start for segment in transcript.segments)
    assert {(segment.channel, segment.speaker) for segment in transcript.segments} == {(0, "CHANNEL_0"), (1, "CHANNEL_1")}
    text = " ".join(re.findall(r"[\w']+", transcript.text.lower()))
    assert text.count("diane in new jersey") == 1
    assert text.count("texas") == 1
    [diane] = [segment for segment in transcript.segments if "diane" in segment.text.lower()]
    [sheila] = [segment for segment in transcript.segments if "texas" in segment.text.lower()]
    assert diane.channel != sheila.channel
    assert {word.speaker for word in diane.words} == {diane.speaker}
    assert [speaker.id for speaker in transcript.speakers] == ["CHANNEL_0", "CHANNEL_1"]
    assert all(5 < speaker.seconds < 20 for speaker in transcript.speakers)
    assert "speakers_by_channel" in {warning.code for warning in transcript.warnings}
