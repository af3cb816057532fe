"""Whose words these are: each goes to the speaker who speaks for most of its time, or, where nobody does, to whoever speaks nearest.

Time that a speaker has spoken up to a moment is a function that bends only where turns begin and end. So how long somebody speaks during a
word is the difference of two look-ups, for all words at once: hours of recording take milliseconds.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from common.transcript import Speaker
from services.transcriber.engine.words import PlacedWord

OVERLAP_SHARE = 0.5
"""How much of a word must be spoken over for it to be marked."""

_INSTANT = 1e-3
"""Seconds that a word without a length is taken to last."""

Seconds = NDArray[np.float64]


class Turn(msgspec.Struct, frozen=True):
    """One speaker speaking, in seconds from the start of the recording. Turns of one speaker do not overlap, those of two may."""

    start: float
    end: float
    speaker: str


def seconds(turns: Sequence[Turn]) -> tuple[Speaker, ...]:
    """How long each speaker speaks, by name."""
    spoken: dict[str, float] = {}
    for turn in turns:
        spoken[turn.speaker] = spoken.get(turn.speaker, 0.0) + turn.end - turn.start
    return tuple(Speaker(speaker, round(spoken[speaker], 3)) for speaker in sorted(spoken))


def attribute(words: Sequence[PlacedWord], turns: Sequence[Turn]) -> tuple[list[PlacedWord], list[Turn]]:
    """The words with their speakers and a mark where somebody else speaks too, and the turns in order.

    Speakers are called SPEAKER_00, SPEAKER_01, ... in the order of their first words; then come those who have none.
    """
    turns = sorted(turns, key=lambda turn: (turn.start, turn.end))
    if not words or not turns:
        return list(words), _renamed(turns, _speakers(turns))
    starts = np.array([word.start for word in words])
    ends = np.maximum(np.array([word.end for word in words]), starts + _INSTANT)
    mine = whose(starts, ends, turns)
    overlapped = spoken_over(starts, ends, turns) >= OVERLAP_SHARE * (ends - starts)
    order = list(dict.fromkeys([*mine.tolist(), *range(len(_speakers(turns)))]))
    names = {index: _name(number) for number, index in enumerate(order)}
    attributed = [
        msgspec.structs.replace(word, speaker=names[int(index)], overlap=bool(overlap))
        for word, index, overlap in zip(words, mine, overlapped, strict=True)
    ]
    speakers = _speakers(turns)
    return attributed, _renamed(turns, [speakers[index] for index in order])


def whose(starts: Seconds, ends: Seconds, turns: Sequence[Turn]) -> NDArray[np.intp]:
    """For each stretch of time the number of its speaker, in the order of their first turns; the earlier one, where two are equal."""
    begins, overs = _times(turns)
    spoken = np.stack(
        [
            _within(starts, ends, *_times([turn for turn in turns if turn.speaker == speaker]), np.array([0.0, 1.0]))
            for speaker in _speakers(turns)
        ]
    )
    mine: NDArray[np.intp] = spoken.argmax(axis=0)
    silent = spoken.max(axis=0) <= 0
    if silent.any():
        numbers = {speaker: number for number, speaker in enumerate(_speakers(turns))}
        owners = np.array([numbers[turn.speaker] for turn in turns])
        mine[silent] = owners[_nearest(starts[silent], ends[silent], begins, overs)]
    return mine


def spoken_over(starts: Seconds, ends: Seconds, turns: Sequence[Turn]) -> Seconds:
    """For each stretch of time the seconds of it in which two or more speak."""
    return _within(starts, ends, *_times(turns), np.array([0.0, 0.0, 1.0]))


def _within(starts: Seconds, ends: Seconds, begins: Seconds, overs: Seconds, counted: Seconds) -> Seconds:
    """For each stretch its seconds, each weighted with `counted[how many speak]` (the last for any more)."""
    edges = np.concatenate([begins, overs])
    order = np.argsort(edges, kind="stable")
    edges = edges[order]
    active = np.cumsum(np.where(order < len(begins), 1, -1))
    weights = counted[np.minimum(active[:-1], len(counted) - 1)]
    passed = np.concatenate([[0.0], np.cumsum(weights * np.diff(edges))])
    amount: Seconds = np.interp(ends, edges, passed) - np.interp(starts, edges, passed)
    return amount


def _nearest(starts: Seconds, ends: Seconds, begins: Seconds, overs: Seconds) -> NDArray[np.intp]:
    """The turn that ends last before, or that begins first after; the earlier one, where both are as near."""
    by_begin, by_over = np.argsort(begins, kind="stable"), np.argsort(overs, kind="stable")
    before = np.searchsorted(overs[by_over], starts, "right") - 1
    after = np.searchsorted(begins[by_begin], ends, "left")
    previous, following = by_over[np.maximum(before, 0)], by_begin[np.minimum(after, len(begins) - 1)]
    past = np.where(before >= 0, starts - overs[previous], np.inf)
    future = np.where(after < len(begins), begins[following] - ends, np.inf)
    return np.where(past <= future, previous, following)


def _times(turns: Sequence[Turn]) -> tuple[Seconds, Seconds]:
    return np.array([turn.start for turn in turns]), np.array([turn.end for turn in turns])


def _speakers(turns: Sequence[Turn]) -> list[str]:
    return list(dict.fromkeys(turn.speaker for turn in turns))


def _renamed(turns: Sequence[Turn], order: Sequence[str]) -> list[Turn]:
    names = {speaker: _name(number) for number, speaker in enumerate(order)}
    return [Turn(turn.start, turn.end, names[turn.speaker]) for turn in turns]


def _name(number: int) -> str:
    return f"SPEAKER_{number:02d}"
