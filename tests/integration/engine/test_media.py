"""Decoding: every container people upload, in whatever state it arrives."""

import struct
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from common.errors import PermanentError, TransientError
from common.transcript import AudioTrack
from services.transcriber.engine.channels import load
from services.transcriber.engine.media import SAMPLE_RATE, Samples, decode, waveform
from services.transcriber.frames import sound
from services.transcriber.protocol import Options
from tests.hostile.containers import id3, picture
from tests.integration.engine.recorded import Dub, encode, film, silent_video
from tests.recordings import wav
from tests.unit.ingest.test_sniffing import CONTAINERS, tone


@pytest.fixture(scope="session")
def samples(conversation: Path) -> Samples:
    return decode(conversation).samples


def alike(one: Samples, other: Samples) -> float:
    """Correlation at the best shift, as codecs delay: 1 for the same sound."""
    one, other = one.astype(float), other.astype(float)
    size = len(one) + len(other)
    spectrum = np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size))
    return float(np.fft.irfft(spectrum, size).max() / (np.linalg.norm(one) * np.linalg.norm(other)))


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout", "video"),
    [
        ("a.mp3", "libmp3lame", 44_100, "stereo", False),
        ("a.m4a", "aac", 48_000, "mono", False),
        ("a.ogg", "libopus", 48_000, "mono", False),
        ("a.webm", "libopus", 48_000, "stereo", False),
        ("a.flac", "flac", 96_000, "mono", False),
        ("a.amr", "libopencore_amrnb", 8_000, "mono", False),
        ("a.3gp", "libopencore_amrnb", 8_000, "mono", False),
        ("a.wma", "wmav2", 44_100, "stereo", False),
        ("a.caf", "alac", 44_100, "stereo", False),
        ("a.wav", "pcm_f32le", 48_000, "7.1", False),
        ("b.wav", "pcm_mulaw", 8_000, "mono", False),
        ("c.wav", "pcm_s24le", 44_100, "stereo", False),
        ("d.wav", "pcm_s16le", 192_000, "mono", False),
        ("e.wav", "pcm_u8", 11_025, "mono", False),
        ("f.wav", "adpcm_ima_wav", 22_050, "mono", False),
        ("a.mp4", "aac", 44_100, "stereo", True),
        ("a.mkv", "libopus", 48_000, "mono", True),
    ],
)
def test_every_container_sounds_the_same(
    tmp_path: Path, samples: Samples, name: str, codec: str, rate: int, layout: str, *, video: bool
) -> None:
    """Codec, sample rate, channels and a picture change nothing about what is heard, how loud or how long; a picture makes a video."""
    audio = decode(encode(tmp_path / name, samples, codec, rate=rate, layout=layout, video=video))
    assert audio.seconds == pytest.approx(30, abs=0.1)
    assert (audio.damaged, audio.kind) == (False, "video" if video else "audio")
    assert alike(samples, audio.samples) > 0.85  # AMR, which keeps voices and little else
    assert np.std(audio.samples) == pytest.approx(float(np.std(samples)), rel=0.25)


SECOND = SAMPLE_RATE
LATE = ("a.mkv", "libopus"), ("b.mkv", "pcm_s16le"), ("a.mp4", "aac"), ("a.mov", "pcm_s16le"), ("a.ts", "mp2"), ("a.mpg", "mp2")
GAPS = *LATE[:3], ("a.webm", "libopus"), ("a.ts", "aac"), ("a.flv", "aac")


def place(part: Samples, whole: Samples) -> float:
    """At how many seconds it is heard."""
    size = len(part) + len(whole)
    spectrum = np.fft.rfft(whole.astype(float), size) * np.conj(np.fft.rfft(part.astype(float), size))
    return float(np.fft.irfft(spectrum, size)[: len(whole)].argmax()) / SAMPLE_RATE


@pytest.mark.parametrize(("name", "codec"), LATE)
def test_sound_that_begins_later_than_the_picture(tmp_path: Path, samples: Samples, name: str, codec: str) -> None:
    """Its times are the video's: subtitles come when a player plays the words."""
    path = encode(tmp_path / name, samples[: 6 * SECOND], codec, rate=48_000, video=True, leaps={-1.0: 3.0})
    audio = decode(path)
    assert not audio.damaged
    assert audio.seconds == pytest.approx(9, abs=0.05)
    assert place(samples[: 2 * SECOND], audio.samples) == pytest.approx(3, abs=0.05)
    assert not audio.samples[: int(2.9 * SECOND)].any()


@pytest.mark.parametrize(("name", "codec"), GAPS)
def test_packets_that_are_missing_leave_silence(tmp_path: Path, samples: Samples, name: str, codec: str) -> None:
    """Five seconds in which nothing was recorded are five seconds; what is around them stays as it is."""
    path = encode(tmp_path / name, samples[: 6 * SECOND], codec, rate=44_100 if name == "a.flv" else 48_000, leaps={2.5: 5.0})
    audio = decode(path)
    assert not audio.damaged
    assert audio.seconds == pytest.approx(11, abs=0.05)
    assert place(samples[: 2 * SECOND], audio.samples) == pytest.approx(0, abs=0.05)
    assert place(samples[4 * SECOND : 6 * SECOND], audio.samples) == pytest.approx(9, abs=0.05)
    assert not audio.samples[int(2.7 * SECOND) : int(7.4 * SECOND)].any()


def test_a_leap_beyond_any_silence_is_told(tmp_path: Path, samples: Samples) -> None:
    """Nobody knows what the time is then: the recording goes on where it was."""
    audio = decode(encode(tmp_path / "a.mkv", samples[: 6 * SECOND], "pcm_s16le", leaps={2.5: 1e6}))
    assert audio.damaged
    assert audio.seconds == pytest.approx(6, abs=0.01)


def test_silence_counts_as_length(tmp_path: Path, samples: Samples) -> None:
    """Of which there may be so much."""
    path = encode(tmp_path / "a.mkv", samples[:SECOND], "pcm_s16le", layout="stereo", leaps={0.5: 7 * 3_600.0})
    with pytest.raises(PermanentError) as failure:
        load(path, Options(channels="split"))
    assert failure.value.code == "recording_too_long"


@pytest.mark.parametrize(("container", "codec"), [row[:2] for row in CONTAINERS], ids=[row[0] for row in CONTAINERS])
def test_what_has_no_gaps_is_left_as_it_is(tmp_path: Path, container: str, codec: str) -> None:
    """To the sample, whatever codecs put before the beginning and take off again."""
    (tmp_path / "upload").write_bytes(tone(container, codec))
    with av.open(tmp_path / "upload") as plain, sound(tmp_path / "upload") as frames:
        read = [frame.to_ndarray().tobytes() for frame in plain.decode(audio=0)]
        assert [frame.to_ndarray().tobytes() for frame in frames] == read


def test_a_cover_makes_no_video(tmp_path: Path, samples: Samples) -> None:
    """Music comes with a picture that does not move."""
    assert decode(encode(tmp_path / "a.mp3", samples[:SAMPLE_RATE], "libmp3lame", cover=True)).kind == "audio"


@pytest.mark.parametrize("claimed", [36_000 * 32_000, 0xFFFF_FFFF, 0])
def test_a_wav_file_is_as_long_as_its_samples(tmp_path: Path, samples: Samples, claimed: int) -> None:
    """Ten hours announced and one second there; or, as when it was streamed, a length of everything or nothing."""
    data = bytearray(wav(samples[: 1 * SAMPLE_RATE].tobytes()))
    data[4:8], data[40:44] = struct.pack("<I", min(claimed + 36, 0xFFFF_FFFF)), struct.pack("<I", claimed)
    (tmp_path / "a.wav").write_bytes(data)
    assert decode(tmp_path / "a.wav").seconds == 1.0


def test_headers_that_announce_hours_are_not_believed(tmp_path: Path, samples: Samples) -> None:
    """One second is one second, whatever an MP4's boxes or an MP3's first frame say."""
    boxes = bytearray(encode(tmp_path / "a.m4a", samples[:SAMPLE_RATE], "aac").read_bytes())
    for box, offset in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20)):
        place = boxes.index(box) + offset
        boxes[place : place + 4] = struct.pack(">I", 36_000 * SAMPLE_RATE)
    (tmp_path / "a.m4a").write_bytes(boxes)
    frames = bytearray(encode(tmp_path / "a.mp3", samples[:SAMPLE_RATE], "libmp3lame").read_bytes())
    place = frames.index(b"Info") + 8
    frames[place : place + 4] = struct.pack(">I", 36_000 * 38)
    (tmp_path / "a.mp3").write_bytes(frames)
    assert decode(tmp_path / "a.m4a").seconds == pytest.approx(1.0, abs=0.1)
    assert decode(tmp_path / "a.mp3").seconds == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("flags", [{}, {"movflags": "faststart"}], ids=["index at the end", "index first"])
def test_an_mp4_has_its_index_at_either_end(tmp_path: Path, samples: Samples, flags: dict[str, str]) -> None:
    """Recorders write `moov` last, servers put it first."""
    path = encode(tmp_path / "a.m4a", samples, "aac", options=flags)
    data = path.read_bytes()
    assert (data.index(b"moov") < data.index(b"mdat")) == bool(flags)
    assert decode(path).seconds == pytest.approx(30, abs=0.1)


@pytest.mark.parametrize(("channels", "code"), [(9, None), (64, None), (65, "too_many_channels"), (10_000, "unsupported_media")])
def test_channels_without_number_are_bounded(tmp_path: Path, channels: int, code: str | None) -> None:
    """What the resampler can mix is mixed; more is refused, without room being made for it."""
    path = tmp_path / "a.wav"
    path.write_bytes(wav(np.full((SAMPLE_RATE // 10, channels), 1_000, np.int16).tobytes(), channels))
    if code is None:
        assert decode(path).samples == pytest.approx(np.full(SAMPLE_RATE // 10, 1_000), abs=1)
    else:
        with pytest.raises(PermanentError) as failure:
            decode(path)
        assert failure.value.code == code


@pytest.mark.parametrize(("container", "codec"), [row[:2] for row in CONTAINERS], ids=[row[0] for row in CONTAINERS])
def test_what_ingest_takes_is_decoded(tmp_path: Path, container: str, codec: str) -> None:
    """Each container that is recognised at submission is among those that are read, also behind a tag with a large picture."""
    (tmp_path / "upload").write_bytes(tone(container, codec))
    assert decode(tmp_path / "upload").seconds == pytest.approx(1.0, abs=0.1)
    if container in {"mp3", "flac", "wav", "adts"}:
        (tmp_path / "upload").write_bytes(id3(picture(bytes(1_500_000))) + tone(container, codec))
        assert decode(tmp_path / "upload").seconds == pytest.approx(1.0, abs=0.1)


def test_a_truncated_recording_is_heard_up_to_its_end(tmp_path: Path, samples: Samples) -> None:
    """An upload that was cut off keeps what it has."""
    path = encode(tmp_path / "a.mp3", samples, "libmp3lame")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert decode(path).seconds == pytest.approx(15, abs=0.2)


def test_broken_frames_are_skipped_and_told(tmp_path: Path, samples: Samples) -> None:
    """Garbage in the middle costs what it covers, and the recording says that it is damaged."""
    path = encode(tmp_path / "a.mp3", samples, "libmp3lame")
    data = bytearray(path.read_bytes())
    data[30_000:34_000] = np.random.default_rng(1).bytes(4_000)
    path.write_bytes(data)
    audio = decode(path)
    assert audio.damaged
    assert 25 < audio.seconds < 30


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "aac"), ("a.mov", "aac"), ("a.mkv", "libopus"), ("a.webm", "libopus")])
def test_a_film_has_a_track_for_each_language(tmp_path: Path, samples: Samples, name: str, codec: str) -> None:
    """The one in the language that is asked for is heard, else the default one, and it is told which that was."""
    silence = np.zeros(SAMPLE_RATE, np.int16)
    path = film(tmp_path / name, [Dub(silence, "ger"), Dub(samples, "eng"), Dub(silence, "fra", default=True)], codec)
    heard = load(path, Options(language="en"))
    assert heard.track == AudioTrack(number=2, of=3, language="eng", chosen="language")
    assert alike(samples, heard.samples) > 0.9
    other = load(path, Options(language="ja"))
    assert other.track == AudioTrack(number=3, of=3, language="fra", chosen="default")
    assert not decode(path).samples.any()


def test_a_track_that_cannot_be_decoded_is_passed_over(tmp_path: Path, samples: Samples) -> None:
    """Although it is the default one: another may be heard."""
    path = film(tmp_path / "a.mkv", [Dub(samples[:SAMPLE_RATE], "eng", default=True), Dub(samples, "ger")], "libopus")
    path.write_bytes(path.read_bytes().replace(b"A_OPUS", b"A_NONE", 1))
    heard = load(path, Options(language="en"))
    assert heard.track == AudioTrack(number=2, of=2, language="ger", chosen="first")
    assert heard.seconds == pytest.approx(30, abs=0.1)


_MEASURED = """
import re, sys
from pathlib import Path
from services.transcriber.engine.media import decode

def most():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

before = most()
print(decode(Path(sys.argv[1])).seconds, (most() - before) // 1024)
"""
"""Not by what `resource` says, which a process inherits from whoever started it."""


def test_a_videos_picture_takes_no_memory(tmp_path: Path) -> None:
    """It is read past: a film of 30 MB with seconds of sound is decoded in the room that these take."""
    path = tmp_path / "film.mkv"
    noise = np.random.default_rng(3)
    with av.open(path, "w") as container:
        picture = container.add_stream("rawvideo", rate=10)
        assert isinstance(picture, av.VideoStream)
        picture.width, picture.height, picture.pix_fmt = 640, 480, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=SAMPLE_RATE)
        assert isinstance(sound, av.AudioStream)
        sound.layout = "mono"
        for number in range(70):
            image = noise.integers(0, 255, (720, 640), np.uint8)
            container.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="yuv420p")))
            frame = av.AudioFrame.from_ndarray(np.full((1, 1_600), 1_000, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, number * 1_600
            container.mux(sound.encode(frame))
    assert path.stat().st_size > 30 * 2**20
    done = subprocess.run([sys.executable, "-c", _MEASURED, str(path)], capture_output=True, text=True, timeout=120, check=True)
    seconds, megabytes = done.stdout.split()
    assert float(seconds) == pytest.approx(7.0)
    assert int(megabytes) < 15


def empty(path: Path) -> None:
    path.touch()


def zero_length(path: Path) -> None:
    path.write_bytes(wav(b""))


def text(path: Path) -> None:
    path.write_text("This is not a recording.\n" * 100)


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(2).bytes(50_000))


def protected(path: Path) -> None:
    """An MP4 whose sound is encrypted, as shops sell it."""
    data = bytearray(encode(path, np.zeros(10 * SAMPLE_RATE, np.int16), "aac").read_bytes())
    entry, content = data.index(b"mp4a", data.index(b"stsd")), data.index(b"mdat")
    data[entry : entry + 4] = b"enca"
    size = struct.unpack(">I", data[content - 4 : content])[0] - 8
    data[content + 4 : content + 4 + size] = np.random.default_rng(4).bytes(size)
    path.write_bytes(data)


def unknown_codec(path: Path) -> None:
    """A WAV file whose format tag nobody has heard of."""
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + 3200, b"WAVE", b"fmt ", 16, 0x4242, 1, 16_000, 32_000, 2, 16, b"data", 3200)
    path.write_bytes(header + bytes(3200))


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (empty, "empty_audio"),
        (zero_length, "empty_audio"),
        (silent_video, "no_audio_stream"),
        (text, "unsupported_media"),
        (noise, "unsupported_media"),
        (unknown_codec, "unsupported_media"),
        (protected, "unsupported_media"),
    ],
)
@pytest.mark.parametrize("suffix", [".mp3", ".mp4", ".wav"])
def test_what_cannot_be_heard_fails_for_good(tmp_path: Path, make: Callable[[Path], object], code: str, suffix: str) -> None:
    """Each kind of unusable file has its code, whatever its name pretends."""
    path = tmp_path / "upload.mp4"
    make(path)
    with pytest.raises(PermanentError) as failure:
        decode(path.rename(tmp_path / f"upload{suffix}"))
    assert failure.value.code == code


@pytest.mark.parametrize(
    "playlist",
    [
        "ffconcat version 1.0\nfile other.wav\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:30\n#EXTINF:30,\nother.wav\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:30\n#EXTINF:30,\nhttp://127.0.0.1:9/other.wav\n#EXT-X-ENDLIST\n",
    ],
)
def test_an_upload_cannot_name_other_files(tmp_path: Path, conversation: Path, playlist: str) -> None:
    """A playlist dressed up as a recording does not make the engine open what it lists."""
    (tmp_path / "other.wav").write_bytes(conversation.read_bytes())
    (tmp_path / "upload").write_text(playlist)
    with pytest.raises(PermanentError) as failure:
        decode(tmp_path / "upload")
    assert failure.value.code == "unsupported_media"


def test_a_missing_file_is_worth_another_try(tmp_path: Path) -> None:
    """It is not the submitter's fault when the recording is not where the parent put it."""
    with pytest.raises(TransientError):
        decode(tmp_path / "nothing")


def test_a_full_scale_recording_does_not_clip(tmp_path: Path) -> None:
    """Loud stereo is mixed down without wrapping around, and a stretch of it is a waveform in [-1, 1]."""
    path = tmp_path / "loud.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, SAMPLE_RATE, 0, "NONE", "not compressed"))
        file.writeframes(np.full((SAMPLE_RATE, 2), 32_767, np.int16).tobytes())
    samples = decode(path).samples
    assert 32_700 < samples.min() <= samples.max() <= 32_767
    assert 0.99 < float(waveform(samples).max()) <= 1.0
