"""Recordings cut by the real codecs."""

import io
import signal
import subprocess
import sys
import wave
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest

from common.archives import By, Cut, Format
from common.errors import PermanentError
from common.transcript import Diagnostics, Language, ReferenceLine, ReferenceReport, Segment, Transcript, Unmatched, encode
from services.transcriber.clips import order
from services.transcriber.clips.__main__ import archive
from services.transcriber.clips.cutting import cut
from services.transcriber.clips.order import Order
from services.transcriber.clips.plan import Clip
from tests.hostile.bombs import NO_MEMORY, packed_index
from tests.hostile.flac import flac
from tests.integration.engine import recorded
from tests.integration.engine.recorded import Dub, film

RATE = 16_000


def recording(path: Path, seconds: float = 3.0, channels: int = 2) -> Path:
    """WAV; samples are 100 x their channel plus the whole tenths of a second before them, so that a clip shows what it is of."""
    tenths = (np.arange(int(seconds * RATE)) // (RATE // 10)).astype(np.int16)
    pcm = np.stack([tenths + 100 * channel for channel in range(channels)], axis=1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm.tobytes())
    return path


@pytest.mark.parametrize("channels", [9, 16])
def test_more_channels_than_can_be_told_apart_are_mixed(tmp_path: Path, channels: int) -> None:
    """As the engine hears them. The resampler's own mix refuses those that have no layout."""
    [pcm] = [pcm_of(made.file.read()) for made in cut(recording(tmp_path / "a.wav", channels=channels), [clip(0, 0.5, 1.0)], "wav")]
    assert pcm[:, 0].tolist() == [5 + n // 1600 + 50 * (channels - 1) for n in range(8_000)]


def clip(number: int, start: float, end: float, channel: int | None = None) -> Clip:
    return Clip(file=f"{number}", start=start, end=end, speaker=None, channel=channel, text="", segments=(number,))


def pcm_of(data: bytes) -> np.ndarray:
    with wave.open(io.BytesIO(data)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, file.getnchannels())


def transcribed(folder: Path) -> None:
    lines = (Segment(0, 0.0, 1.0, "One.", 0.9, ()), Segment(1, 1.0, 2.5, "Two.", 0.9, ()))
    (folder / "transcript.json").write_bytes(encode(Transcript("One. Two.", Language("en", 1.0), 3.0, lines, (), {}, {})))


def asked(folder: Path, source: str, by: By = "segment", *, seconds: float = 60) -> Order:
    return Order(
        job_id="7",
        source=str(folder / source),
        transcript=str(folder / "transcript.json"),
        failure=str(folder / "failure.json"),
        cut=Cut(by, "wav"),
        memory=2**28,
        seconds=seconds,
    )


@contextmanager
def started(asked: Order) -> Iterator[subprocess.Popen[bytes]]:
    """The process, at work on what is asked, until the block ends."""
    with subprocess.Popen([sys.executable, "-m", "services.transcriber.clips"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        try:
            process.stdin.write(order.encode(asked) + b"\n")
            process.stdin.flush()
            yield process
        finally:
            process.kill()


def test_clips_are_exact_to_the_sample(tmp_path: Path) -> None:
    """Also where they overlap; of one channel or of all; cut short where the recording ends, and left out beyond."""
    clips = [clip(0, 0.5, 1.0), clip(1, 0.8, 1.2, channel=1), clip(2, 2.5, 9.0), clip(3, 5.0, 6.0)]
    made = {one.clip.file: (one.seconds, pcm_of(one.file.read())) for one in cut(recording(tmp_path / "a.wav"), clips, "wav")}
    assert {name: seconds for name, (seconds, _) in made.items()} == pytest.approx({"0": 0.5, "1": 0.4, "2": 0.5})
    assert made["0"][1][:, 0].tolist() == [5 + n // 1600 for n in range(8_000)]
    assert made["0"][1].shape == (8_000, 2)
    assert set(made["1"][1][:, 0].tolist()) == {108, 109, 110, 111}
    assert made["1"][1].shape == (6_400, 1)


def test_a_copy_with_fewer_channels_than_its_recording(tmp_path: Path) -> None:
    """Nobody's channel is left in it, so each clip is the mix of all, in one channel."""
    clips = [clip(0, 0.5, 1.0, channel=0), clip(1, 0.5, 1.0, channel=3)]
    made = [pcm_of(one.file.read()) for one in cut(recording(tmp_path / "a.wav"), clips, "wav")]
    assert [pcm.shape for pcm in made] == [(8_000, 1)] * 2
    assert [set(pcm[:, 0].tolist()) for pcm in made] == [{55, 56, 57, 58, 59}] * 2


@pytest.mark.parametrize(("kind", "codec"), [("mp3", "mp3float"), ("flac", "flac")])
def test_formats(kind: Format, codec: str, tmp_path: Path) -> None:
    """What is asked for is what comes, of the right length."""
    for one in cut(recording(tmp_path / "a.wav"), [clip(0, 1.0, 2.0)], kind):
        with av.open(io.BytesIO(one.file.read()), "r") as container:
            assert container.streams.audio[0].codec.name == codec
            samples: int = sum(frame.samples for frame in container.decode(container.streams.audio[0]))
        assert samples == pytest.approx(RATE, abs=1_200)


def test_what_is_no_recording(tmp_path: Path) -> None:
    """It says so, and nothing is cut."""
    path = tmp_path / "a.wav"
    path.write_bytes(b"nothing to hear")
    with pytest.raises(PermanentError, match="unsupported_media"):
        list(cut(path, [clip(0, 0, 1)], "mp3"))


def test_the_process(tmp_path: Path) -> None:
    """The zip comes on stdout and needs no seeking; a failure leaves its reason and no zip."""
    transcribed(tmp_path)
    recording(tmp_path / "a.wav")

    def ordered(source: str, by: By = "segment") -> tuple[int, bytes]:
        with started(asked(tmp_path, source, by)) as process:
            assert process.stdout is not None
            written = process.stdout.read()
            return process.wait(60), written

    status, zipped_up = ordered("a.wav")
    assert status == 0
    with zipfile.ZipFile(io.BytesIO(zipped_up)) as zipped:
        assert zipped.testzip() is None
        assert set(zipped.namelist()) == {
            "clips/0001.wav",
            "clips/0002.wav",
            "metadata.json",
            "transcript.json",
            "transcript.srt",
            "transcript.vtt",
        }
        metadata = msgspec.json.decode(zipped.read("metadata.json"))
        assert [(one["file"], one["seconds"], one["text"]) for one in metadata["clips"]] == [
            ("clips/0001.wav", 1.0, "One."),
            ("clips/0002.wav", 1.5, "Two."),
        ]
        assert b"Two." in zipped.read("transcript.srt")
        assert len(pcm_of(zipped.read("clips/0002.wav"))) == 24_000
    assert ordered("a.wav", "line")[0] == 1
    assert order.decode_failure((tmp_path / "failure.json").read_bytes()).code == "nothing_to_cut"
    (tmp_path / "empty").touch()
    assert ordered("empty")[0] == 1
    assert order.decode_failure((tmp_path / "failure.json").read_bytes()).code == "empty_audio"
    (tmp_path / "bomb").write_bytes(packed_index())
    assert ordered("bomb")[0] == 1
    assert order.decode_failure((tmp_path / "failure.json").read_bytes()).code == NO_MEMORY


def test_the_end_of_the_transcriber_is_the_process_s(tmp_path: Path) -> None:
    """Nobody waits for the zip any more, nor reads it: it ends, wherever it is."""
    transcribed(tmp_path)
    recording(tmp_path / "a.wav", seconds=30.0)
    with started(asked(tmp_path, "a.wav", seconds=60)) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 1


def test_the_kernel_ends_whoever_spins(tmp_path: Path) -> None:
    """CPU time has a limit even when nobody is there to look at the clock."""
    transcribed(tmp_path)
    (tmp_path / "days").write_bytes(flac(120 * 3_600, 8_000))
    with started(asked(tmp_path, "days", seconds=1)) as process:
        assert process.wait(120) == -signal.SIGXCPU


def test_an_archive_of_lines(tmp_path: Path) -> None:
    """A clip for each line that was found, of all channels, exact to the sample; how it was found is beside it."""
    lines = (
        ReferenceLine(number=1, text="One.", start=1.5, end=2.5, coverage=1.0, readings=2, cutoff_uncertain=False),
        ReferenceLine(number=2, text="Two.", start=0.0, end=1.0, coverage=0.75, readings=1, cutoff_uncertain=True),
    )
    about = Diagnostics(
        lines=3, found=2, coverage=0.6, missing=(3,), repeated=(), unmatched=(Unmatched(1.0, 1.4, "ahem"),), last_end=2.5, input_end=3.0
    )
    said = (Segment(0, 0.0, 1.0, "Two.", 0.9, (), speaker="A", channel=1), Segment(1, 1.5, 2.4, "One. One.", 0.9, (), channel=0))
    transcript = Transcript("", Language("en", 1.0), 3.0, said, (), {}, {}, reference=ReferenceReport(lines, about))
    (tmp_path / "transcript.json").write_bytes(encode(transcript))
    recording(tmp_path / "a.wav")
    written = io.BytesIO()
    archive(asked(tmp_path, "a.wav", "line"), written)
    with zipfile.ZipFile(written) as zipped:
        metadata = msgspec.json.decode(zipped.read("metadata.json"))
        clips = {name: pcm_of(zipped.read(name)) for name in zipped.namelist() if name.startswith("clips/")}
    assert {name: pcm.shape for name, pcm in clips.items()} == {"clips/line-0001.wav": (16_000, 2), "clips/line-0002.wav": (16_000, 2)}
    assert clips["clips/line-0001.wav"][0].tolist() == [15, 115]
    first, second = metadata["clips"]
    assert first == {
        "file": "clips/line-0001.wav",
        "start": 1.5,
        "end": 2.5,
        "speaker": None,
        "channel": None,
        "text": "One.",
        "segments": [1],
        "number": 1,
        "coverage": 1.0,
        "readings": 2,
        "cutoff_uncertain": False,
        "seconds": 1.0,
    }
    assert (second["number"], second["cutoff_uncertain"]) == (2, True)
    assert msgspec.convert(metadata["diagnostics"], Diagnostics) == about


def test_clips_lie_where_a_player_plays_them(tmp_path: Path) -> None:
    """What a track begins later than its picture, and what was not recorded of it, counts as for the transcript."""
    levels = np.repeat(np.arange(1, 5, dtype=np.int16) * 1_000, RATE)
    path = recorded.encode(tmp_path / "late.mkv", levels, "pcm_s16le", video=True, leaps={-1.0: 3.0, 2.0: 5.0})
    made = [pcm_of(one.file.read()) for one in cut(path, [clip(0, 4.2, 4.8), clip(1, 5.2, 9.8), clip(2, 11.2, 11.8)], "wav")]
    assert [set(pcm[:, 0].tolist()) for pcm in made] == [{2_000}, {0}, {4_000}]


def test_of_several_tracks_the_one_that_was_transcribed_is_cut(tmp_path: Path) -> None:
    """Which the job's language decides."""
    quiet, loud = (np.full(RATE, level, np.int16) for level in (100, 10_000))
    path = film(tmp_path / "film.mkv", [Dub(quiet, "ger", default=True), Dub(loud, "eng")], "pcm_s16le")
    levels = [
        float(np.median(pcm_of(one.file.read()))) for language in (None, "en") for one in cut(path, [clip(0, 0.2, 0.8)], "wav", language)
    ]
    assert levels == pytest.approx([100, 10_000], rel=0.05)
