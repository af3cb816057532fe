"""The copy of a recording that may be passed on: a tone wherever something was redacted, on every channel.

It is made from the submitted file, so it sounds as that does, up to stereo and 48 kHz, and takes the memory of a few frames. Frames that
cannot be decoded are skipped, and silence put between those that are apart, exactly as for the transcript, so times in both are the same.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain, takewhile
from pathlib import Path
from typing import IO

import av
import numpy as np
from numpy.typing import NDArray

from common.errors import PermanentError
from common.transcript import Redaction
from services.transcriber.frames import MOST_APART, Frames, sound

_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""What MP3 knows."""

_FAST = {"compression_level": "7"}
"""LAME's word for how hard it looks for the best bits; at this rate, for speech, it need not."""

_FRAME = 1_152
_TELL = 100
"""Frames: at least every 15 seconds of sound, which take a fraction of one."""

_TONE_HZ = 1_000
_TONE_LEVEL = 0.1 * 32_767
_TOLERANCE_SECONDS = 0.1

Pcm = NDArray[np.int16]
"""Samples by channels."""


def copy_redacted(
    source: Path,
    output: Path,
    redactions: Sequence[Redaction],
    seconds: float,
    progress: Callable[[float], None] = lambda _: None,
    *,
    language: str | None = None,
    confined: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """Write an MP3 of the recording, which is `seconds` long. Raises `PermanentError` when it cannot be made, `OSError` for want of room.

    `language` chooses among several audio tracks. `progress` gets the fraction done every now and then; what it raises ends the copying.
    `confined` is for the time that anything in the recording is looked at.
    """
    with output.open("wb") as copy, sound(source, language, confined=confined) as frames:
        try:
            written = _copy(frames, copy, redactions, lambda done: progress(done / seconds))
        except av.error.MemoryError:
            raise
        except av.FFmpegError as error:  # caught in here: further out it would be taken for what is wrong with the source
            if isinstance(error, OSError):
                raise OSError(error.errno, error.strerror) from error
            raise _failed("the recording could not be written anew") from error
    if abs(written - seconds) > _TOLERANCE_SECONDS:
        raise _failed("its copy would be as long as something else")


def _copy(frames: Frames, output: IO[bytes], redactions: Sequence[Redaction], told: Callable[[float], None]) -> float:
    """How many seconds were written; `told` gets as many as there are so far."""
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise _failed("the recording could not be read again")
    rate = next((known for known in _RATES if known >= first.sample_rate), _RATES[-1])
    channels = 2 if 1 < first.layout.nb_channels <= MOST_APART else 1
    layout = "stereo" if channels == 2 else "mono"
    with av.open(output, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=rate, options=_FAST)
        assert isinstance(stream, av.AudioStream)
        stream.layout = layout
        stream.bit_rate = (64_000 if rate >= 16_000 else 32_000) * channels
        position = 0
        for block in _blocks(_pcm(chain([first], iterator), rate, layout)):
            _sound_tone(block, position, rate, redactions)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block.T), format="s16p", layout=layout)
            frame.sample_rate, frame.pts = rate, position
            container.mux(stream.encode(frame))
            position += len(block)
            if position % (_TELL * _FRAME) == 0:
                told(position / rate)
        container.mux(stream.encode(None))
    return position / rate


def _pcm(frames: Iterator[av.AudioFrame], rate: int, layout: str) -> Iterator[Pcm]:
    """Layouts that have no name are refused by the resampler's down-mix; their channels' mean is taken."""
    resampler: av.AudioResampler | None = None
    shape: tuple[int, str, str] | None = None
    for frame in frames:
        found = (frame.sample_rate, frame.format.name, frame.layout.name)
        if resampler is None or found != shape:
            if resampler is not None:
                yield from map(_samples, resampler.resample(None))
            named = frame.layout.nb_channels <= MOST_APART
            resampler, shape = av.AudioResampler(format="s16", layout=layout if named else frame.layout, rate=rate), found
        frame.pts = None
        yield from map(_samples, resampler.resample(frame))
    if resampler is not None:
        yield from map(_samples, resampler.resample(None))


def _samples(frame: av.AudioFrame) -> Pcm:
    count = frame.layout.nb_channels
    pcm = np.frombuffer(memoryview(frame.planes[0]), np.int16, frame.samples * count).reshape(-1, count)
    return pcm if count <= 2 else pcm.mean(axis=1, keepdims=True).astype(np.int16)


def _blocks(pieces: Iterator[Pcm]) -> Iterator[Pcm]:
    """What the encoder takes at once; the last one is as long as it is."""
    held: list[Pcm] = []
    for piece in pieces:
        held.append(piece)
        if sum(map(len, held)) >= _FRAME:
            whole = np.concatenate(held)
            full = len(whole) // _FRAME * _FRAME
            yield from np.split(whole[:full], full // _FRAME)
            held = [whole[full:]]
    rest = np.concatenate(held) if held else np.zeros((0, 1), np.int16)
    if len(rest):
        yield rest


def _sound_tone(block: Pcm, position: int, rate: int, redactions: Sequence[Redaction]) -> None:
    """`redactions` are in order and apart."""
    index = bisect_right(redactions, position / rate, key=lambda each: each.end)
    for each in takewhile(lambda each: each.start * rate < position + len(block), redactions[index:]):
        first, last = max(int(each.start * rate) - position, 0), min(int(each.end * rate) + 1 - position, len(block))
        times = np.arange(position + first, position + last) / rate
        block[first:last] = (_TONE_LEVEL * np.sin(2 * np.pi * _TONE_HZ * times)).astype(np.int16)[:, None]


def _failed(why: str) -> PermanentError:
    return PermanentError("redaction_failed", f"The recording was not redacted: {why}. Nothing was kept.")
