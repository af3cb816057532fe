"""Several channels as one: their mean, unless that would be next to nothing.

Where a plug is wired the wrong way round, or a balanced line was taken for stereo, the second channel is the first one upside down, and the
two cancel each other out. Either has all that is said, so the first is taken there; always the first, or the sound would turn over with
whichever is the louder for a moment. One stretch after the other is looked at, so that nothing needs to be held for it.
"""

import numpy as np
from numpy.typing import NDArray

_CANCELLED = 0.05
"""What is left of the first channel's power: of two voices there is a quarter, and of two microphones' noise a half."""

_TOLD = 0.1

Samples = NDArray[np.int16]


class Mixer:
    """Mixes the stretches of one recording."""

    def __init__(self) -> None:
        self._heard = self._saved = 0.0

    @property
    def opposite(self) -> bool:
        """Whether the mean would have lacked a tenth of the sound and more, by its power."""
        return self._saved > _TOLD * self._heard

    def mix(self, channels: Samples) -> Samples:
        """A stretch, samples by channels."""
        if channels.shape[1] != 2:
            return np.asarray(channels.mean(axis=1), np.int16)
        first, second = (channel.astype(np.float32) for channel in channels.T)
        mean = (first + second) / 2
        power = float(first @ first)
        self._heard += (power + float(second @ second)) / 2
        if float(mean @ mean) < _CANCELLED * power:
            self._saved += power
            mean = first
        return np.asarray(mean, np.int16)
