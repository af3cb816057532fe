"""pyannote.audio's `SpeakerDiarization`, with its two expensive steps done differently and its appetite for memory bounded.

Segmentation runs on windows in which somebody speaks, embeddings are shared between windows (`embedding`), both on ONNX Runtime where
there is a network for it. Everything else, counting speakers, clustering, putting windows together, is pyannote's own. The recording stays
16-bit: a window becomes floats when it is listened to.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from pyannote.audio import Pipeline
from pyannote.audio.pipelines import SpeakerDiarization
from pyannote.core import SlidingWindow, SlidingWindowFeature

from services.transcriber.engine.batches import Batches
from services.transcriber.engine.diarization.bundle import EMBEDDING, NETWORK, SEGMENTATION
from services.transcriber.engine.diarization.campplus import SHORTEST_SAMPLES, CampPlus
from services.transcriber.engine.diarization.clustering import bound
from services.transcriber.engine.diarization.embedding import Network, embed
from services.transcriber.engine.diarization.windows import Windows
from services.transcriber.engine.media import SAMPLE_RATE
from services.transcriber.engine.recording import Recording
from services.transcriber.engine.speakers import Turn

SPEECH = "speech"
"""The key of a file under which the spans are that hold speech."""

BATCHES = "batches"
"""The key under which the `Batches` are that make do with the memory there is."""

_CPU_BATCH, _CUDA_BATCH = 8, 32


class Networks(NamedTuple):
    """What runs instead of the models' own forward; None: nothing does."""

    segmentation: Network | None = None
    embedding: Network | None = None


class Diarizer(SpeakerDiarization):  # type: ignore[misc]  # pyannote is untyped
    """Made by `adopt`; `turns` is the way in, the rest is called by the pipeline."""

    networks = Networks()

    @classmethod
    def adopt(cls, loaded: SpeakerDiarization, device: str, networks: Networks) -> Self:
        """The same pipeline, its models and its parameters taken over from one that pyannote loaded."""
        batch = _CUDA_BATCH if device == "cuda" else _CPU_BATCH
        adopted = cls(
            segmentation=loaded._segmentation.model,  # noqa: SLF001 - there is no public way to what a pipeline has loaded
            segmentation_step=loaded.segmentation_step,
            segmentation_batch_size=batch,
            embedding=loaded._embedding.model_,  # noqa: SLF001
            embedding_batch_size=batch,
            embedding_exclude_overlap=loaded.embedding_exclude_overlap,
            plda=loaded._plda,  # noqa: SLF001
            clustering=loaded.klustering,
        )
        adopted.clustering = bound(adopted.clustering)
        adopted.instantiate(loaded.parameters(instantiated=True))
        adopted.to(torch.device(device))
        adopted.networks = networks
        return adopted

    def turns(self, recording: Recording, batches: Batches, on_progress: Callable[[float], None]) -> list[Turn]:
        """Who speaks when, as many speakers as the options allow; two may speak at once."""
        sound = {"waveform": torch.from_numpy(recording.audio.samples[None]), "sample_rate": SAMPLE_RATE}
        file = {**sound, SPEECH: recording.speech, BATCHES: batches}
        bounds = {"min_speakers": recording.options.min_speakers, "max_speakers": recording.options.max_speakers}
        with warnings.catch_warnings():
            # Of bounds that a short recording cannot fill, and of means of nothing where nobody speaks long enough.
            warnings.simplefilter("ignore")
            found = self(file, **bounds, hook=_Hook(on_progress)).speaker_diarization
        length = recording.audio.seconds
        tracks = [(segment.start, min(segment.end, length), speaker) for segment, _, speaker in found.itertracks(yield_label=True)]
        return [Turn(round(start, 3), round(end, 3), speaker) for start, end, speaker in tracks if start < end]

    def get_segmentations(self, file: Any, hook: Callable[..., None] | None = None) -> SlidingWindowFeature:
        """(windows, frames, speakers): who speaks in each window; nobody does where no speech was found."""
        inference = self._segmentation
        windows, chosen = self._windows(file), self._windows(file).with_speech(file[SPEECH])
        specifications = inference.model.specifications
        frames, speakers = inference.model.num_frames(windows.size), len(specifications.classes)
        found = np.zeros((len(windows), frames, speakers), np.float32)
        done = 0

        def run(numbers: Sequence[int]) -> None:
            found[list(numbers)] = self._segment(windows.stack(numbers))

        for first in range(0, len(chosen), self.segmentation_batch_size):
            numbers = chosen[first : first + self.segmentation_batch_size]
            file[BATCHES].work_all(numbers, run)
            done += len(numbers)
            if hook is not None:
                hook("segmentation", None, total=len(chosen), completed=done)
        return SlidingWindowFeature(found, SlidingWindow(start=0.0, duration=inference.duration, step=inference.step))

    def get_embeddings(
        self,
        file: Any,
        binary_segmentations: SlidingWindowFeature,
        exclude_overlap: bool = False,  # noqa: FBT001, FBT002 - pyannote's signature
        hook: Callable[..., None] | None = None,
    ) -> NDArray[np.float32]:
        """(windows, speakers, dimension), NaN where somebody speaks too shortly or not at all."""
        windows = self._windows(file)
        spoken = alone(binary_segmentations.data, self._fewest_frames(binary_segmentations)) if exclude_overlap else None
        used = np.asarray(binary_segmentations.data > 0) if spoken is None else spoken

        def on_progress(completed: int, total: int) -> None:
            if hook is not None:
                hook("embeddings", None, total=total, completed=completed)

        if self.networks.embedding is not None:
            return embed(windows, used, self.networks.embedding, file[BATCHES], on_progress)
        return self._embed(windows, used, file[BATCHES], on_progress)

    def _embed(
        self, windows: Windows, spoken: NDArray[np.bool_], batches: Batches, on_progress: Callable[[int, int], None]
    ) -> NDArray[np.float32]:
        """With a model that is only known by its interface: only for who speaks, all speakers of a window beside each other."""
        made = np.full((len(spoken), spoken.shape[2], self._embedding.dimension), np.nan, np.float32)
        pairs = [(int(window), int(speaker)) for window, speaker in np.argwhere(spoken.any(axis=1))]

        def run(batch: Sequence[tuple[int, int]]) -> None:
            sound = windows.stack([window for window, _ in batch])
            masks = np.stack([spoken[window, :, speaker] for window, speaker in batch]).astype(np.float32)
            embeddings = self._embedding(torch.from_numpy(sound), masks=torch.from_numpy(masks))
            for (window, speaker), embedding in zip(batch, embeddings, strict=True):
                made[window, speaker] = embedding

        for first in range(0, len(pairs), self.embedding_batch_size):
            batch = pairs[first : first + self.embedding_batch_size]
            batches.work_all(batch, run)
            on_progress(first + len(batch), len(pairs))
        return made

    def _segment(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.networks.segmentation is None:
            return np.asarray(self._segmentation.infer(torch.from_numpy(batch)))
        scores = torch.from_numpy(self.networks.segmentation(batch))
        return np.asarray(self._segmentation.conversion(scores).numpy())

    def _windows(self, file: Any) -> Windows:
        inference = self._segmentation
        samples = np.asarray(file["waveform"][0].numpy())
        return Windows(samples, round(inference.duration * SAMPLE_RATE), round(inference.step * SAMPLE_RATE))

    def _fewest_frames(self, segmentations: SlidingWindowFeature) -> int:
        ours = isinstance(self._embedding.model_, CampPlus)  # it knows; others are asked, which takes a dozen attempts
        shortest = SHORTEST_SAMPLES if ours else self._embedding.min_num_samples
        share: float = shortest / (segmentations.sliding_window.duration * SAMPLE_RATE)
        frames = int(segmentations.data.shape[1])
        return math.ceil(frames * share)


def alone(segmentations: NDArray[np.float32], fewest: int) -> NDArray[np.bool_]:
    """The frames in which a speaker speaks alone; where these are `fewest` or less, all in which the speaker speaks."""
    spoken = np.nan_to_num(segmentations) > 0
    clean = spoken & (spoken.sum(axis=2, keepdims=True) < 2)
    return np.where(clean.sum(axis=1, keepdims=True) > fewest, clean, spoken)


def load(source: str, device: str, threads: int, token: str | None, cache: Path) -> Diarizer:
    """The pipeline that `source` (a directory, or a name that the hub knows) holds. Raises what pyannote does, and `TypeError`."""
    loaded = Pipeline.from_pretrained(source, token=token, cache_dir=cache)
    if not isinstance(loaded, SpeakerDiarization):
        raise TypeError(f"{source} holds no speaker diarization pipeline")
    return Diarizer.adopt(loaded, device, networks(Path(source), loaded, device, threads))


def networks(source: Path, loaded: SpeakerDiarization, device: str, threads: int) -> Networks:
    """What the pipeline of `source` runs on `device`: on a CPU the networks that lie beside it."""
    embedding = loaded._embedding.model_  # noqa: SLF001
    ours = isinstance(embedding, CampPlus)
    if device == "cpu":
        paths = source / SEGMENTATION / NETWORK, source / EMBEDDING / NETWORK
        segmentation, speaker = (_session(path, threads) if path.is_file() else None for path in paths)
        return Networks(segmentation, speaker if ours else None)
    return Networks(embedding=_on_device(embedding) if ours else None)


def _session(path: Path, threads: int) -> Network:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        output: NDArray[np.float32] = session.run(None, {"input": batch})[0]
        return output

    return run


def _on_device(model: CampPlus) -> Network:
    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(model.network(torch.from_numpy(batch).to(model.device)).cpu().numpy())

    return run


class _Hook:
    """Maps the two steps that take time to one fraction."""

    SHARES = {"segmentation": (0.0, 0.5), "embeddings": (0.5, 0.97)}  # noqa: RUF012 - never changed

    def __init__(self, on_progress: Callable[[float], None]) -> None:
        self._on_progress = on_progress

    def __call__(self, step: str, _artifact: Any = None, *, total: int | None = None, completed: int | None = None, **_: Any) -> None:
        if step in self.SHARES and total and completed is not None:
            low, high = self.SHARES[step]
            self._on_progress(low + (high - low) * min(1.0, completed / total))
