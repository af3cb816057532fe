"""What is sent: FLAC, half the bytes of what was decoded and none of its sound. Its size has a bound, so parts can be cut beforehand."""

import io

import av
import numpy as np

from services.transcriber.engine.media import SAMPLE_RATE, Samples

_BYTES_PER_SECOND = 2.02 * SAMPLE_RATE
"""The samples' own, and a hundredth: what cannot be compressed grows by half of that."""

_HEADERS = 12_000
_FEWEST = SAMPLE_RATE // 2


def longest(most_bytes: int) -> float:
    """How many seconds fit into an upload, whatever they sound like."""
    return (most_bytes - _HEADERS) / _BYTES_PER_SECOND


def flac(samples: Samples) -> bytes:
    """A FLAC file, with silence after what would be too short for servers that want a tenth of a second."""
    samples = np.pad(samples, (0, max(0, _FEWEST - len(samples))))
    file = io.BytesIO()
    with av.open(file, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE, frame_size=stream.frame_size or 4_096)
        for each in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(each))
        container.mux(stream.encode(None))
    return file.getvalue()
