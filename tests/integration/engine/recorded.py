"""Recordings in many containers, made from one: what people upload."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.stream import Disposition

from services.transcriber.engine.media import SAMPLE_RATE, Samples


def encode(
    path: Path,
    samples: Samples,
    codec: str,
    *,
    rate: int = SAMPLE_RATE,
    layout: str = "mono",
    video: bool = False,
    cover: bool = False,
    options: Mapping[str, str] | None = None,
    leaps: Mapping[float, float] | None = None,
) -> Path:
    """Write `samples` (16 kHz) on every channel to `path`, whose suffix names the container, beside a black picture or `cover`.

    Each of `leaps` is a time and by how many seconds the packets come later, or earlier, from there on.
    """
    with av.open(path, "w", options=dict(options or {})) as container:
        picture = container.add_stream("png" if cover else "mpeg4", rate=10) if video or cover else None
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = layout
        if codec.startswith("wma"):
            stream.bit_rate = 128_000  # the only encoder here without a default
        if picture is not None:
            picture.disposition = Disposition.attached_pic if cover else Disposition.default
            _black(container, picture, frames=1 if cover else 10)
        _write(container, stream, samples, leaps)
    return path


class Dub(NamedTuple):
    """One of a film's audio tracks."""

    samples: Samples
    language: str | None
    default: bool = False


def film(path: Path, tracks: Sequence[Dub], codec: str) -> Path:
    """A video with several audio tracks, which are written turn by turn, as players want them."""
    with av.open(path, "w") as container:
        picture = container.add_stream("mpeg4" if path.suffix != ".webm" else "libvpx", rate=10)
        streams = []
        for track in tracks:
            stream = container.add_stream(codec, rate=48_000)
            assert isinstance(stream, av.AudioStream)
            stream.layout = "mono"
            stream.disposition = Disposition.default if track.default else Disposition(0)
            if track.language is not None:
                stream.metadata["language"] = track.language
            streams.append(stream)
        _black(container, picture)
        for stream, track in zip(streams, tracks, strict=True):
            _write(container, stream, track.samples)
    return path


def music() -> Samples:
    """Ten seconds of chords, a tune and a drum."""
    random = np.random.default_rng(1)
    time = np.arange(10 * SAMPLE_RATE) / SAMPLE_RATE
    sound = np.zeros_like(time)

    def play(pitch: float, start: float, seconds: float) -> None:
        stretch = slice(int(start * SAMPLE_RATE), int((start + seconds) * SAMPLE_RATE))
        since = time[stretch] - start
        sound[stretch] += sum(np.sin(2 * np.pi * pitch * n * since) / n**1.5 for n in range(1, 6)) * np.exp(-2 * since)

    for bar, chord in enumerate([(262, 330, 392), (220, 262, 330), (175, 220, 262), (196, 247, 294), (262, 330, 392)]):
        for pitch in chord:
            play(pitch, 2.0 * bar, 2.0)
        for beat in range(8):
            play(float(random.choice([523, 587, 659, 784])), 2.0 * bar + beat / 4, 0.25)
            drum = int((2 * bar + beat / 4) * SAMPLE_RATE)
            sound[drum : drum + 800] += random.normal(0, 0.5, 800) * np.exp(-np.arange(800) / 150)
    return np.asarray(sound / np.abs(sound).max() * 20_000, np.int16)


def silent_video(path: Path) -> Path:
    """One second of black without an audio stream."""
    with av.open(path, "w") as container:
        _black(container, container.add_stream("mpeg4", rate=10))
    return path


def _black(container: av.container.OutputContainer, stream: av.VideoStream, frames: int = 10) -> None:
    stream.width, stream.height, stream.pix_fmt = 64, 64, "rgb24" if stream.codec.name == "png" else "yuv420p"
    for _ in range(frames):
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
    container.mux(stream.encode(None))


def _write(
    container: av.container.OutputContainer, stream: av.AudioStream, samples: Samples, leaps: Mapping[float, float] | None = None
) -> None:
    pcm = np.repeat(samples, stream.layout.nb_channels)[None]
    frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout=stream.layout.name)
    frame.sample_rate, frame.pts = SAMPLE_RATE, 0
    resampler = av.AudioResampler(format=stream.format, layout=stream.layout, rate=stream.rate, frame_size=stream.frame_size or 1024)
    for each in (*resampler.resample(frame), *resampler.resample(None), None):
        for packet in stream.encode(each):
            assert packet.pts is not None
            assert packet.dts is not None
            time = float(packet.pts * packet.time_base)
            moved = round(sum(by for at, by in (leaps or {}).items() if time >= at) / packet.time_base)
            packet.pts, packet.dts = packet.pts + moved, packet.dts + moved
            container.mux(packet)
