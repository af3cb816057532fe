"""Cutting a recording into uploads: none longer than the server takes, each from speech to speech, cut in silence where there is any.

Silence costs money and makes recognisers write what nobody said, so long pauses lie between uploads instead of in them. A shorter one
stays: what was said before helps to hear what follows.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from services.transcriber.engine.heard import Span
from services.transcriber.engine.media import Samples
from services.transcriber.engine.speech import quietest

LONG_PAUSE = 20.0
"""Seconds; as a rule no sentence goes on after it."""

_TOUCHING = 0.05


class Part(NamedTuple):
    """One upload, and where in it somebody speaks; seconds from the start of the recording."""

    span: Span
    speech: tuple[Span, ...]


def parts(speech: Iterable[Span], samples: Samples, longest: float) -> list[Part]:
    """`speech`, in order, in parts of at most `longest` seconds."""
    waiting = _runs(speech)[::-1]
    found: list[Part] = []
    taken: list[Span] = []
    while waiting:
        run = waiting.pop()
        if taken and run.start - taken[-1].end >= LONG_PAUSE:
            found.append(_part(taken))
            taken = []
        taken.append(run)
        if run.end - taken[0].start > longest:
            kept, left = _cut(taken, samples, longest)
            found.append(_part(kept))
            waiting += left[::-1]
            taken = []
    return [*found, _part(taken)] if taken else found


def _cut(taken: Sequence[Span], samples: Samples, longest: float) -> tuple[list[Span], list[Span]]:
    """In the longest pause of the second half of what fits; where nobody pauses there, in the quietest place of it."""
    limit, middle = taken[0].start + longest, taken[0].start + longest / 2
    pauses = [index for index in range(1, len(taken)) if taken[index - 1].end <= limit and taken[index].start >= middle]
    if pauses:
        place = max(pauses, key=lambda index: taken[index].start - taken[index - 1].end)
        return list(taken[:place]), list(taken[place:])
    time = quietest(samples, middle, limit)
    kept = [Span(span.start, min(span.end, time)) for span in taken if span.start < time]
    left = [Span(max(span.start, time), span.end) for span in taken if span.end > time]
    return kept, left


def _runs(speech: Iterable[Span]) -> list[Span]:
    runs: list[Span] = []
    for span in speech:
        if runs and span.start - runs[-1].end < _TOUCHING:
            runs[-1] = Span(runs[-1].start, span.end)
        else:
            runs.append(span)
    return runs


def _part(speech: Sequence[Span]) -> Part:
    return Part(Span(speech[0].start, speech[-1].end), tuple(speech))
