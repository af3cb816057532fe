"""Recordings in many containers, made from one: what people upload."""

from pathlib import Path

import av
import numpy as np

from services.transcriber.engine.media import SAMPLE_RATE, Samples


def encode(path: Path, samples: Samples, codec: str, *, rate: int = SAMPLE_RATE, layout: str = "mono", video: bool = False) -> Path:
    """Write `samples` (16 kHz) on every channel to `path`, whose suffix names the container, beside a black picture if `video`."""
    with av.open(path, "w") as container:
        picture = container.add_stream("mpeg4", rate=10) if video else None
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = layout
        if picture is not None:
            _black(container, picture)
        channels = av.AudioLayout(layout).nb_channels
        pcm = np.repeat(samples, channels)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout=layout)
        frame.sample_rate = SAMPLE_RATE
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate, frame_size=stream.frame_size or 1024)
        for each in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(each))
        container.mux(stream.encode(None))
    return path


def silent_video(path: Path) -> Path:
    """One second of black without an audio stream."""
    with av.open(path, "w") as container:
        _black(container, container.add_stream("mpeg4", rate=10))
    return path


def _black(container: av.container.OutputContainer, stream: av.VideoStream) -> None:
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    for _ in range(10):
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
    container.mux(stream.encode(None))
