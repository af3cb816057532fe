"""Forced alignment: where in a stretch of sound each word lies, by the best path through what a CTC model hears in it.

The path is Viterbi's over the words' tokens with a blank between any two (Graves et al. 2006). It is written out here because torchaudio
has deprecated its own, and vectorised over the tokens, so that 30 s of speech take some 20 ms.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from services.transcriber.engine.media import SAMPLE_RATE, Waveform

WINDOW = 30.0
"""Seconds that a model is given at once: the bundled one hears no more, and others need memory with the square of it."""

_MARGIN = 2.0
"""Seconds at a window's edge that its neighbour hears better."""

_MOST_CELLS = 1 << 28
"""Frames times states of one path, a byte each: six minutes of fast speech."""

Emissions = NDArray[np.float32]
"""For each frame (rows) the log-probability of each token (columns)."""


class Found(NamedTuple):
    """Seconds from the start of the stretch."""

    start: float
    end: float


class CtcModel(Protocol):
    """What can be aligned with. `separator` stands between words, if the model knows one; `late`: by how many seconds it hears a start."""

    name: str
    late: float
    blank: int
    separator: int | None

    def tokens(self, word: str, language: str) -> list[int]:
        """How the word sounds or is spelt; empty when the model cannot say."""
        ...

    def emissions(self, stretch: Waveform) -> Emissions: ...


def align(model: CtcModel, words: Sequence[str], language: str, stretch: Waveform) -> list[Found | None]:
    """For each word where it is; None where the model knows no token for it, and for all when they do not fit into the stretch."""
    tokens: list[int] = []
    spans: list[tuple[int, int] | None] = []
    for word in words:
        mine = model.tokens(word, language)
        if mine and tokens and model.separator is not None:
            tokens.append(model.separator)
        spans.append((len(tokens), len(tokens) + len(mine)) if mine else None)
        tokens += mine
    if not tokens:
        return [None] * len(words)
    emissions, clock = _hear(model, stretch)
    frames = best_path(emissions, tokens, model.blank)
    if frames is None:
        return [None] * len(words)
    found = [span and Found(float(clock[frames[span[0], 0]]), float(clock[frames[span[1] - 1, 1]])) for span in spans]
    return _earlier(found, model.late)


def best_path(emissions: Emissions, tokens: Sequence[int], blank: int) -> NDArray[np.int64] | None:
    """For each token its first frame and the one after its last; None when the tokens need more frames, or memory, than there is."""
    labels = np.full(2 * len(tokens) + 1, blank)
    labels[1::2] = tokens
    skips = np.zeros(len(labels), np.bool_)
    skips[3::2] = labels[3::2] != labels[1:-2:2]
    if len(emissions) * len(labels) > _MOST_CELLS:
        return None
    best = np.full(len(labels), -np.inf, np.float32)
    best[:2] = emissions[0, labels[:2]]
    moves = np.zeros((len(emissions), len(labels)), np.int8)
    reached = np.full((3, len(labels)), -np.inf, np.float32)
    for frame in range(1, len(emissions)):
        reached[0], reached[1, 1:] = best, best[:-1]
        reached[2, 2:] = np.where(skips[2:], best[:-2], -np.inf)
        moves[frame] = reached.argmax(axis=0)
        best = reached.max(axis=0) + emissions[frame, labels]
    state = len(labels) - (1 if best[-1] >= best[-2] else 2)
    if not np.isfinite(best[state]):
        return None
    frames = np.zeros((len(tokens), 2), np.int64)
    for frame in reversed(range(len(emissions))):
        if state % 2:
            token = state // 2
            frames[token] = frame, frames[token, 1] or frame + 1
        state -= int(moves[frame, state])
    return frames


def _hear(model: CtcModel, stretch: Waveform) -> tuple[Emissions, NDArray[np.float64]]:
    """What is in each frame, and the seconds at which the frames begin, with the last one's end. Long stretches are heard in windows."""
    seconds = len(stretch) / SAMPLE_RATE
    heard: list[Emissions] = []
    clock: list[NDArray[np.float64]] = []
    start = 0.0
    while True:
        end = min(start + WINDOW, seconds)
        emissions = model.emissions(stretch[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)])
        times = np.linspace(start, end, len(emissions), endpoint=False)
        kept = slice(*np.searchsorted(times, (start + _MARGIN if start else 0.0, end - _MARGIN if end < seconds else end)))
        heard.append(emissions[kept])
        clock.append(times[kept])
        if end >= seconds:
            return np.concatenate(heard), np.append(np.concatenate(clock), seconds)
        start = end - 2 * _MARGIN


def _earlier(found: list[Found | None], late: float) -> list[Found | None]:
    """Starts moved back, but not into the word before."""
    moved: list[Found | None] = []
    free = 0.0
    for each in found:
        moved.append(each and Found(max(free, each.start - late), each.end))
        free = each.end if each else free
    return moved
