"""When the sound of a file is heard: where its container says that there is none for a while, there is silence.

A track may begin later than the picture does, and packets may be missing: nobody was to be heard, or they never arrived. Read one after the
other, what follows would come early by as much. So silence is put wherever the sound is late by more than a tenth of a second, as ffmpeg's
`aresample=async=1` does, and for a leap only: a clock that is a little off leaves no gap in what was said.

Times are believed within bounds. What goes back, or leaps further than any silence, is another count that begins there.
"""

from collections.abc import Iterator

import av
import numpy as np

_DAY = 86_400.0
_RESYNC = 10.0
"""Beyond it ffmpeg, too, takes a leap of a broadcast's time for another programme's."""

_LONGEST = {
    "matroska,webm": _DAY,
    "mov,mp4,m4a,3gp,3g2,mj2": _DAY,
    "flv": _RESYNC,
    "mpeg": _RESYNC,
    "mpegts": _RESYNC,
}
"""Seconds of a silence, in the containers (by ffmpeg's names) that tell each packet's time. Others count what is there, or, as Ogg,
tell only where a page of packets ends."""

_LATE = 0.1
_LEAP = 0.005
"""Between a packet that is missing and a time that is rounded."""

_BACK = 1.0
_PIECE = 16_384


class Timeline:
    """How far the sound of a file has come; `container` is ffmpeg's name, `start` microseconds: the first of anything in the file."""

    def __init__(self, container: str, start: int | None) -> None:
        self._longest = _LONGEST.get(container, 0.0)
        self._believed = start is not None and self._longest > 0
        self._reached = self._told = (start or 0) / 1_000_000

    def missing(self, time: float | None, seconds: float) -> float | None:
        """Seconds of silence before a frame that lasts `seconds` and says that it is heard at `time`; None when it leaps too far."""
        if time is None or not self._believed:
            time = self._told
        late, leap = time - self._reached, time - self._told
        elsewhere = not -_BACK <= late <= self._longest
        silent = late if late > _LATE and leap > _LEAP and not elsewhere else 0.0
        if silent or elsewhere:
            self._reached = time
        self._reached += seconds
        self._told = time + seconds
        return None if late > self._longest else silent


def silence(seconds: float, like: av.AudioFrame) -> Iterator[av.AudioFrame]:
    """Frames of it, with the rate and the channels of another one, and samples of 16 bits."""
    left = round(seconds * like.sample_rate)
    while left > 0:
        samples = min(left, _PIECE)
        zeros = np.zeros((1, samples * like.layout.nb_channels), np.int16)
        frame = av.AudioFrame.from_ndarray(zeros, format="s16", layout=like.layout)
        frame.sample_rate = like.sample_rate
        yield frame
        left -= samples
