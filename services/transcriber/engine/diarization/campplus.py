"""CAM++ speaker embeddings behind pyannote.audio's `Model` interface, so that its own pipeline loads and runs them.

The network is 3D-Speaker's; it travels as TorchScript inside the checkpoint, so that loading it needs none of its source. What is embedded
is the sound of one speaker only: the frames in which the others are silent, put together, and of these the middle four seconds. More
of them cost more and do not tell speakers better apart.
"""

import io
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pyannote.audio.core.model import Model
from torchaudio.compliance import kaldi

MELS = 80
DIMENSION = 192
FEWEST_FRAMES = 25
MOST_FRAMES = 400

FRAME_SAMPLES, REACH_SAMPLES = 160, 400
"""A frame every 10 ms, of 25 ms each."""

SHORTEST_SAMPLES = (FEWEST_FRAMES - 1) * FRAME_SAMPLES + REACH_SAMPLES

_JIT: Any = torch.jit  # untyped in part

Frames = NDArray[np.int64]
"""Indices of log-mel frames, in order."""


class CampPlus(Model):  # type: ignore[misc]  # pyannote is untyped
    """Waveforms (batch, 1, samples), and for each the weights of one speaker's frames, to embeddings (batch, 192); NaN where too short."""

    def __init__(self, network: torch.Tensor, sample_rate: int = 16_000, num_channels: int = 1, task: Any = None) -> None:
        super().__init__(sample_rate=sample_rate, num_channels=num_channels, task=task)
        self.save_hyperparameters("network", "sample_rate", "num_channels")
        self.network = _JIT.load(io.BytesIO(network.numpy().tobytes()), map_location="cpu")

    @property
    def dimension(self) -> int:
        return DIMENSION

    def forward(self, waveforms: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """Raises `ValueError` when all of a waveform is too short: the pipeline asks that way how long one must be."""
        features = [log_mel(each) for each in waveforms[:, 0]]
        if len(features[0]) < FEWEST_FRAMES:
            raise ValueError(f"{len(features[0])} frames are too few to tell a speaker")
        if weights is None:
            return torch.cat([self._embed(each, np.arange(len(each))) for each in features])
        spoken = (frames(weight > 0, len(feature)) for weight, feature in zip(weights.cpu().numpy(), features, strict=True))
        return torch.cat([self._embed(feature, chosen) for feature, chosen in zip(features, spoken, strict=True)])

    def _embed(self, features: torch.Tensor, chosen: Frames) -> torch.Tensor:
        if len(chosen) < FEWEST_FRAMES:
            return torch.full((1, DIMENSION), torch.nan, device=features.device)
        # Optimising would begin anew for each length, of which there are hundreds.
        with _JIT.optimized_execution(False):  # noqa: FBT003 - torch's signature
            embeddings: torch.Tensor = self.network(normalised(features, chosen)[None])
        return embeddings


def log_mel(waveform: torch.Tensor) -> torch.Tensor:
    """Kaldi's filter bank (frames, mels), a frame every 10 ms; a frame depends on its own 25 ms alone."""
    features: torch.Tensor = kaldi.fbank(waveform[None], num_mel_bins=MELS, dither=0.0, sample_frequency=16_000)
    return features


def frames(spoken: NDArray[np.bool_], count: int) -> Frames:
    """Which of a window's `count` log-mel frames `spoken` (coarser) marks; the middle ones when there are many."""
    marked = np.flatnonzero(spoken[np.arange(count) * len(spoken) // count])
    surplus = max(0, len(marked) - MOST_FRAMES)
    return marked[surplus // 2 : surplus // 2 + MOST_FRAMES]


def normalised(features: torch.Tensor, chosen: Frames) -> torch.Tensor:
    """The chosen frames, each mel band with a mean of zero: what differs from recording to recording is left out."""
    kept = features[torch.from_numpy(chosen).to(features.device)]
    return kept - kept.mean(dim=0, keepdim=True)
