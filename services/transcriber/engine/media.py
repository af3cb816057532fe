"""From any audio or video file to 16 kHz mono samples, with whatever can be saved of a damaged one.

Three promises. A file is only ever read through the handle opened here: playlist and concatenation formats, which name other files or
addresses inside, find every protocol closed, so an upload cannot make the engine read someone else's recording. Frames that cannot
be decoded are skipped, not fatal: only a file without a single good frame fails. And memory is bounded: samples stay 16-bit integers (half
the size, and the down-mix is normalised as in WhisperX's own loader) until a stretch is listened to, and a recording ends somewhere.
"""

from collections.abc import Iterator
from pathlib import Path

import av
import msgspec
import numpy as np
from numpy.typing import NDArray

from common.errors import PermanentError, TransientError

SAMPLE_RATE = 16_000
LONGEST_HOURS = 24

Samples = NDArray[np.int16]
"""One channel at 16 kHz."""

Waveform = NDArray[np.float32]
"""The same in [-1, 1], for models; only ever a stretch of a recording."""


class Audio(msgspec.Struct, frozen=True):
    """A recording, never empty; `damaged` says that some of it could not be decoded."""

    samples: Samples
    damaged: bool

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


def decode(path: Path) -> Audio:
    """Decode the file's best audio stream.

    Raises `PermanentError`: `empty_audio` (nothing in it), `no_audio_stream` (a video without sound), `unsupported_media` (not media, an
    unknown codec, or damaged beyond use), `recording_too_long`.
    """
    try:
        if path.stat().st_size == 0:
            raise PermanentError("empty_audio", "The file is empty.")
        with (
            path.open("rb", buffering=0) as file,
            av.open(file, "r", metadata_errors="ignore", options={"protocol_whitelist": "pipe"}) as container,
        ):
            return _decode(container)
    except FileNotFoundError as error:
        raise TransientError("source_missing", "The recording is not where it was put for the engine.") from error
    except av.FFmpegError as error:
        raise PermanentError("unsupported_media", "The file is not a recording that can be read, or it is damaged.") from error


def _decode(container: av.container.InputContainer) -> Audio:
    stream = container.streams.best("audio")
    if not isinstance(stream, av.AudioStream):
        if container.streams.video:
            raise PermanentError("no_audio_stream", "The video has no sound.")
        raise PermanentError("unsupported_media", "The file holds no audio.")
    frames = _Frames(container, stream)
    pcm = bytearray()
    for frame in _resampled(frames):
        pcm += memoryview(frame.planes[0])[: frame.samples * 2]
        if len(pcm) > LONGEST_HOURS * 3600 * SAMPLE_RATE * 2:
            raise PermanentError("recording_too_long", f"The recording is longer than {LONGEST_HOURS} hours; submit it in parts.")
    if pcm:
        return Audio(np.frombuffer(pcm, np.int16), damaged=frames.lost > 0)
    if frames.lost:
        raise PermanentError("unsupported_media", "The file's audio cannot be decoded: it is damaged, protected or in an unknown format.")
    raise PermanentError("empty_audio", "The recording is empty: it has a length of zero.")


def waveform(samples: Samples) -> Waveform:
    """`samples` as models want them."""
    return samples.astype(np.float32) / np.float32(32768)


class _Frames:
    """The frames that can be decoded; `lost` counts the places where one could not."""

    def __init__(self, container: av.container.InputContainer, stream: av.AudioStream) -> None:
        self._container, self._stream, self.lost = container, stream, 0

    def __iter__(self) -> Iterator[av.AudioFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                self.lost += 1
                return
            if packet is None:
                return
            try:
                yield from self._stream.decode(packet)
            except av.FFmpegError:
                self.lost += 1


def _resampled(frames: _Frames) -> Iterator[av.AudioFrame]:
    """A recording may change its format half-way; the resampler is made anew when it does."""
    resampler, shape = None, None
    for frame in frames:
        if (frame.sample_rate, frame.format.name, frame.layout.name) != shape:
            if resampler is not None:
                yield from resampler.resample(None)
            shape = (frame.sample_rate, frame.format.name, frame.layout.name)
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        if resampler is not None:
            frame.pts = None
            yield from resampler.resample(frame)
    if resampler is not None:
        yield from resampler.resample(None)
