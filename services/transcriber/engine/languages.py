"""Which language each chunk of a recording is in, from what the model guesses for every chunk by itself.

A guess on one chunk can be wrong, and most recordings are in one language. So the chunks are told apart together: the sequence of languages
is the likeliest one when each change of language has a price. A chunk differs from its neighbours only when it is sure of it, and the
more so the shorter it is; where all are unsure, the sum decides.
"""

from collections.abc import Collection, Mapping, Sequence
from math import log

Guess = Mapping[str, float]
"""Probability by ISO 639-1 code."""

CHANGE = 2.0
"""What a change of language costs, in nats of a chunk's evidence: two of them need odds of more than fifty to one."""

_ENOUGH_SECONDS = 10.0
"""A shorter chunk's evidence counts in proportion to its length."""

_LEAST = 1e-3
"""No guess is taken to be surer than this."""

_HARDLY, _LIKELY = 0.1, 0.5
"""How likely all that may be meant are at most together, and another language at least, for a chunk to be in that one."""


def restrict(guess: Guess, allowed: Collection[str]) -> Guess:
    """What is left of a guess when only `allowed` languages (all, if none are named) can be meant."""
    if not allowed:
        return guess
    kept = {code: max(guess.get(code, 0.0), 1e-12) for code in allowed}
    total = sum(kept.values())
    return {code: probability / total for code, probability in kept.items()}


def foreign(guess: Guess, allowed: Collection[str]) -> bool:
    """Whether a chunk of which the model guesses so is in none of the `allowed` languages (all, if none are named)."""
    return bool(allowed) and sum(guess.get(code, 0.0) for code in allowed) < _HARDLY and max(guess.values()) > _LIKELY


def assign(guesses: Sequence[Guess], seconds: Sequence[float]) -> list[str]:
    """The language of each of a recording's chunks, given in their order with their lengths."""
    if not guesses:
        return []
    codes = sorted({max(guess, key=lambda code: guess[code]) for guess in guesses})
    evidence = [
        {code: min(1.0, length / _ENOUGH_SECONDS) * log(max(_LEAST, guess.get(code, 0.0))) for code in codes}
        for guess, length in zip(guesses, seconds, strict=True)
    ]
    best, origins = evidence[0], list[dict[str, str]]()
    for step in evidence[1:]:
        leader = max(codes, key=lambda code: best[code])
        origin = {code: leader if best[leader] - CHANGE > best[code] else code for code in codes}
        best = {code: best[origin[code]] - (CHANGE if origin[code] != code else 0.0) + step[code] for code in codes}
        origins.append(origin)
    path = [max(codes, key=lambda code: best[code])]
    for origin in reversed(origins):
        path.append(origin[path[-1]])
    return path[::-1]


def main(languages: Sequence[str], guesses: Sequence[Guess], seconds: Sequence[float]) -> tuple[str, float]:
    """The language of most of the recording, and how sure the model was of it: the mean over its chunks, weighted by their length."""
    total: dict[str, float] = {}
    for language, length in zip(languages, seconds, strict=True):
        total[language] = total.get(language, 0.0) + length
    code = max(total, key=lambda each: total[each])
    sure = sum(
        guess.get(code, 0.0) * length for language, guess, length in zip(languages, guesses, seconds, strict=True) if language == code
    )
    return code, min(1.0, sure / max(total[code], 1e-9))
