"""`./run bench reference`: how long it takes to find the lines of a reference in what was said, and how many are found where they are.

Words are made up and common ones come often, as in any language; a tenth is misheard, lines are said again and left out, and other things
are said between.
"""

import argparse
import random
import time
from collections.abc import Sequence

from bench._system import report
from common.references.lines import Line
from common.transcript import Segment, Word
from services.transcriber.engine.reference.report import report as look_for

SIZES = ((1_000, 100), (10_000, 1_000), (30_000, 3_000))
_LINE = 10
_PACE = 0.36


def main(arguments: Sequence[str]) -> None:
    argparse.ArgumentParser(prog="./run bench reference").parse_args(arguments)
    found = [_measure(words, lines) for words, lines in SIZES]
    rows = [("said, given", "seconds of CPU time", "found in their place"), *map(_row, found)]
    report("reference", rows, {"sizes": found})


def _row(found: dict[str, float]) -> tuple[str, str, str]:
    share = found["right"] / found["said"]
    return f"{found['words']} words, {found['lines']} lines", str(found["seconds"]), f"{share:.1%} of {found['said']} lines"


def _measure(words: int, lines: int) -> dict[str, float]:
    """`said` lines were said; `right` ones were found within a second of one of the places."""
    chance = random.Random(1)  # noqa: S311 - the same every time
    letters, lengths = "abcdefghijklmnopqrstuvwxyz", (2, 3, 3, 4, 5, 6, 7, 8, 9)
    vocabulary = ["".join(chance.choices(letters, k=chance.choice(lengths))) for _ in range(6_000)]
    common = [1 / (place + 5) for place in range(len(vocabulary))]
    script = [chance.choices(vocabulary, common, k=_LINE) for _ in range(lines)]
    spoken: list[str] = []
    places: dict[int, list[float]] = {}
    line = 0
    while len(spoken) < words:
        if chance.random() < 0.05:
            spoken += chance.choices(vocabulary, common, k=8)
        if chance.random() < 0.05:
            line = max(0, line + chance.choice((-3, 2)))
        places.setdefault(line % lines, []).append(len(spoken) * _PACE)
        spoken += [word if chance.random() < 0.9 else chance.choice(vocabulary) for word in script[line % lines]]
        line += 1
    timed = tuple(Word(word, number * _PACE, (number + 1) * _PACE, 0.9, "aligned") for number, word in enumerate(spoken))
    segment = Segment(0, 0.0, timed[-1].end, " ".join(spoken), 0.9, timed)
    started = time.process_time()
    found = look_for([segment], [Line(number, " ".join(each)) for number, each in enumerate(script)], timed[-1].end)
    seconds = time.process_time() - started
    right = sum(any(abs(each.start - place) < 1 for place in places.get(each.number, ())) for each in found.lines)
    return {"words": len(spoken), "lines": lines, "seconds": round(seconds, 2), "said": len(places), "right": right}
