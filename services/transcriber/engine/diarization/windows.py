"""A recording as the segmentation model hears it: windows of equal length, each a step after the one before."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.transcriber.engine.heard import Span
from services.transcriber.engine.media import SAMPLE_RATE, Samples, Waveform, waveform


class Windows(msgspec.Struct, frozen=True):
    """`size` and `step` are samples. The last window may reach beyond the end: silence follows there."""

    samples: Samples
    size: int
    step: int

    def __len__(self) -> int:
        beyond = len(self.samples) - self.size
        return 1 if beyond <= 0 else 1 + -(-beyond // self.step)

    def cut(self, start: int, count: int) -> Waveform:
        """`count` samples from `start` on."""
        stretch = waveform(self.samples[start : start + count])
        return np.pad(stretch, (0, count - len(stretch)))

    def stack(self, numbers: Sequence[int]) -> NDArray[np.float32]:
        """The sound of these windows: (batch, 1, samples)."""
        return np.stack([self.cut(number * self.step, self.size) for number in numbers])[:, None]

    def with_speech(self, speech: Sequence[Span]) -> list[int]:
        """The numbers of the windows in which somebody speaks."""
        starts = np.arange(len(self)) * self.step
        begins = np.array([span.start for span in speech]) * SAMPLE_RATE
        ends = np.array([span.end for span in speech]) * SAMPLE_RATE
        begun, over = np.searchsorted(begins, starts + self.size), np.searchsorted(ends, starts, "right")
        return [int(number) for number in np.flatnonzero(begun > over)]
