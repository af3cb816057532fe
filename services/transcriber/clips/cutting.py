"""From a recording to clips, in one pass: decoded once, from its beginning, each sample given to the clips that want it.

Positions are counted in decoded samples and the silence between them, as the engine counts them, so what is missing shifts both alike.
Memory is a frame and the clips that are open at the moment; of those, what is longer than some minutes goes to a temporary file.

A redacted copy is stereo at most. Where its recording had channels that it has not, each of its own is several of them, and a clip of one
channel is the mix of all.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from common.archives import Format
from common.errors import PermanentError
from services.transcriber.clips.plan import Clip
from services.transcriber.frames import MOST_APART, Frames, sound

_IN_MEMORY = 2**22
_CODECS: dict[Format, str] = {"mp3": "libmp3lame", "flac": "flac", "wav": "pcm_s16le"}
_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Those of MP3; every format gets one of them."""

_MP3_BITS_PER_CHANNEL = 64_000

Pcm = NDArray[np.int16]
"""A row for each channel."""


class Made(NamedTuple):
    """A clip with its bytes, read from the beginning; `seconds` are fewer than planned where the recording ends earlier."""

    clip: Clip
    seconds: float
    file: IO[bytes]


def cut(source: Path, clips: Sequence[Clip], kind: Format, language: str | None = None) -> Iterator[Made]:
    """Each clip when its end has been reached; its file is closed when the next one is asked for.

    Clips that begin beyond the recording's end are left out; `language` chooses among several audio tracks. Raises `PermanentError` for
    what cannot be decoded.
    """
    waiting, writing = list(reversed(clips)), list[_Writer]()
    position = 0
    last = max((clip.channel for clip in clips if clip.channel is not None), default=None)
    with sound(source, language) as frames:
        try:
            for rate, pcm in _resampled(frames, apart=last is not None):
                end = position + pcm.shape[1]
                while waiting and waiting[-1].start * rate < end:
                    writing.append(_Writer(waiting.pop(), kind, rate))
                for writer in list(writing):
                    if writer.add(pcm, position, mixed=last is not None and last >= len(pcm)):
                        writing.remove(writer)  # and with it goes its encoder
                        yield from writer.finish()
                position = end
            for writer in writing:
                yield from writer.finish()
        finally:
            for writer in writing:
                writer.close()


class _Writer:
    """A clip that is being written."""

    def __init__(self, clip: Clip, kind: Format, rate: int) -> None:
        self._clip, self._kind, self._rate = clip, kind, rate
        self._start, self._end = round(clip.start * rate), round(clip.end * rate)
        self._file: IO[bytes] = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by `finish` and `close`
        self._container: av.container.OutputContainer | None = None
        self._stream: Any = None
        self._written = 0

    def add(self, pcm: Pcm, position: int, *, mixed: bool) -> bool:
        """Take what is the clip's of samples that begin at `position`; whether its end has been reached. `mixed`: no channel is apart."""
        part = pcm[:, max(0, self._start - position) : max(0, self._end - position)]
        if self._clip.channel is not None:
            part = part.mean(axis=0, keepdims=True).astype(np.int16) if mixed else part[[self._clip.channel]]
        if part.shape[1]:
            self._write(np.ascontiguousarray(part))
        return bool(position + pcm.shape[1] >= self._end)

    def finish(self) -> Iterator[Made]:
        """The clip, unless nothing of the recording was its own."""
        if self._container is not None:
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._file.seek(0)
            yield Made(self._clip, self._written / self._rate, self._file)
        self.close()

    def close(self) -> None:
        self._file.close()

    def _write(self, pcm: Pcm) -> None:
        layout = "mono" if len(pcm) == 1 else "stereo"
        if self._container is None:
            self._container = av.open(self._file, "w", format=self._kind)
            self._stream = self._container.add_stream(_CODECS[self._kind], rate=self._rate)
            self._stream.layout = layout
            if self._kind == "mp3":
                self._stream.bit_rate = _MP3_BITS_PER_CHANNEL * len(pcm)
        frame = av.AudioFrame.from_ndarray(pcm, format="s16p", layout=layout)
        frame.sample_rate, frame.pts = self._rate, self._written
        self._written += pcm.shape[1]
        self._container.mux(self._stream.encode(frame))


def _resampled(frames: Frames, *, apart: bool) -> Iterator[tuple[int, Pcm]]:
    """All samples at one rate and with the channels of the first frame: kept `apart`, or as mono or stereo."""
    resampler, shape, rate, layout = None, None, 0, ""
    for frame in frames:
        if shape is None:
            rate = frame.sample_rate if frame.sample_rate in _RATES else _RATES[-1]
            channels = frame.layout.nb_channels
            layout = frame.layout.name if apart else "mono" if channels == 1 or channels > MOST_APART else "stereo"
        if (frame.sample_rate, frame.format.name, frame.layout.name) != shape:
            if resampler is not None:
                yield from ((rate, _array(one)) for one in resampler.resample(None))
            shape = (frame.sample_rate, frame.format.name, frame.layout.name)
            named = frame.layout.nb_channels <= MOST_APART
            resampler = av.AudioResampler(format="s16", layout=layout if named else frame.layout, rate=rate)
        if resampler is not None:
            frame.pts = None
            yield from ((rate, _array(one)) for one in resampler.resample(frame))
    if resampler is None:
        raise PermanentError("unsupported_media", "The recording cannot be decoded.")
    yield from ((rate, _array(one)) for one in resampler.resample(None))


def _array(frame: av.AudioFrame) -> Pcm:
    """Of packed samples, as planes beyond the eighth are not where PyAV looks for them."""
    count = frame.layout.nb_channels
    pcm = np.frombuffer(memoryview(frame.planes[0]), np.int16, frame.samples * count).reshape(-1, count).T
    return pcm if count <= MOST_APART else pcm.mean(axis=0, keepdims=True).astype(np.int16)
