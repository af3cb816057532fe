"""Speaker embeddings of a recording, each computed once.

Windows overlap by nine tenths, so most of what one of them asks for has been computed for another: an embedding stands for the frames
that it was made of, and whoever speaks in nearly all of these frames according to another window is the same speaker and gets the same one.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from services.transcriber.engine.batches import Batches
from services.transcriber.engine.diarization.campplus import (
    DIMENSION,
    FEWEST_FRAMES,
    FRAME_SAMPLES,
    REACH_SAMPLES,
    Frames,
    frames,
    log_mel,
    normalised,
)
from services.transcriber.engine.diarization.windows import Windows

ALIKE = 0.9
"""How much of an embedding's frames must be the speaker's for it to be used again."""

ENOUGH = 0.75
"""How much of what could be heard of a speaker an embedding must have been made of to be used again."""

_BATCH = 8
_BLOCK_FRAMES = 3_000

Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Features (batch, frames, mels) to embeddings (batch, dimension)."""


def embed(
    windows: Windows, spoken: NDArray[np.bool_], network: Network, batches: Batches, on_progress: Callable[[int, int], None]
) -> NDArray[np.float32]:
    """Embeddings (windows, speakers, dimension), NaN where nobody speaks long enough; `spoken` is (windows, frames, speakers)."""
    wanted, owners = plan(windows, spoken)
    made = np.full((len(wanted) + 1, DIMENSION), np.nan, np.float32)
    features = _Features(windows)

    def run(batch: Sequence[tuple[int, NDArray[np.float32]]]) -> None:
        made[[each for each, _ in batch]] = network(np.stack([feature for _, feature in batch]))

    waiting: dict[int, list[tuple[int, NDArray[np.float32]]]] = defaultdict(list)
    done = 0
    for number, chosen in enumerate(wanted):
        same = waiting[len(chosen)]
        same.append((number, features.take(chosen)))
        if len(same) == _BATCH:
            batches.work_all(same, run)
            done += len(same)
            same.clear()
            on_progress(done, len(wanted))
    for same in waiting.values():
        if same:
            batches.work_all(same, run)
            done += len(same)
            on_progress(done, len(wanted))
    return made[owners]


def plan(windows: Windows, spoken: NDArray[np.bool_]) -> tuple[list[Frames], NDArray[np.int64]]:
    """What to embed (frames of the recording, in order), and for each window's speakers which of it is theirs (-1: none)."""
    count = 1 + (windows.size - REACH_SAMPLES) // FRAME_SAMPLES
    shift = windows.step // FRAME_SAMPLES
    wanted: list[Frames] = []
    recent: deque[int] = deque()
    owners = np.full((len(spoken), spoken.shape[2]), -1)
    active: NDArray[np.bool_] = np.any(spoken, axis=1)
    for window in np.flatnonzero(active.any(axis=1)):
        start = int(window) * shift
        while recent and wanted[recent[0]][0] < start - shift:
            recent.popleft()
        known = len(recent)
        for speaker in np.flatnonzero(active[window]):
            mask = np.zeros(count, np.bool_)
            chosen = frames(spoken[window, :, speaker], count)
            if len(chosen) < FEWEST_FRAMES:
                continue
            mask[:] = spoken[window, np.arange(count) * spoken.shape[1] // count, speaker]
            owner = _known(mask, len(chosen), start, [recent[i] for i in range(known)], wanted)
            if owner is None:
                owner = len(wanted)
                wanted.append(chosen + start)
                recent.append(owner)
            owners[window, speaker] = owner
    return wanted, owners


def _known(mask: NDArray[np.bool_], available: int, start: int, recent: list[int], wanted: list[Frames]) -> int | None:
    """The embedding among `recent` whose frames are this speaker's, if there is one."""
    best, likeness = None, ALIKE
    for number in recent:
        made_of = wanted[number]
        if len(made_of) < ENOUGH * available:
            continue
        inside = made_of[(made_of >= start) & (made_of < start + len(mask))] - start
        share = mask[inside].sum() / len(made_of)
        if share >= likeness:
            best, likeness = number, share
    return best


class _Features:
    """Log-mel frames of a recording, computed block by block as they are asked for, in order."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self._blocks: dict[int, torch.Tensor] = {}

    def take(self, chosen: Frames) -> NDArray[np.float32]:
        first, last = int(chosen[0]) // _BLOCK_FRAMES, int(chosen[-1]) // _BLOCK_FRAMES
        for old in [number for number in self._blocks if number < first - 1]:
            del self._blocks[old]
        near = torch.cat([self._block(number) for number in range(first, last + 1)])
        return np.asarray(normalised(near, chosen - first * _BLOCK_FRAMES).numpy())

    def _block(self, number: int) -> torch.Tensor:
        if number not in self._blocks:
            start = number * _BLOCK_FRAMES * FRAME_SAMPLES
            count = (_BLOCK_FRAMES - 1) * FRAME_SAMPLES + REACH_SAMPLES
            self._blocks[number] = log_mel(torch.from_numpy(self._windows.cut(start, count)))
        return self._blocks[number]
