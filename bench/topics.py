"""`./run bench topics`: how far topics begin where people say that they do.

Texts are `bench/texts`, or those of another folder: a sentence a line, and an empty line before each topic. Beside what is found stand cuts
that know how many topics there are and make them equal: who cannot beat them has read nothing.

Pk (Beeferman et al. 1999) is the share of pairs of sentences, half a topic apart, that are wrongly parted or joined; WindowDiff (Pevzner
and Hearst 2002) that of stretches as long that have a wrong number of cuts. 0 is right, and guessing comes to about 0.5.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench._system import report
from common.transcript import Sentence
from services.transcriber.engine.topics.topics import topics

TEXTS = Path(__file__).with_name("texts")


class Scores(NamedTuple):
    """0 to 1; the lower the better."""

    pk: float
    window_diff: float


class Measured(NamedTuple):
    """One text; `found` is a number of topics, as `topics` is the right one."""

    text: str
    sentences: int
    topics: int
    found: int
    ours: Scores
    equal: Scores


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="./run bench topics")
    parser.add_argument("--texts", type=Path, default=TEXTS, help="a folder of .txt files")
    found = [_measure(path) for path in sorted(parser.parse_args(arguments).texts.glob("*.txt"))]
    ours, equal = _mean([each.ours for each in found]), _mean([each.equal for each in found])
    rows = [("text", "Pk, WindowDiff", "of equal cuts")]
    for each in found:
        what = f"{each.text}: {each.sentences} sentences, {each.topics} topics, {each.found} found"
        rows.append((what, _shown(each.ours), _shown(each.equal)))
    rows.append(("mean", _shown(ours), _shown(equal)))
    report("topics", rows, {"texts": [_figures(each) for each in found], "mean": {"ours": ours._asdict(), "equal": equal._asdict()}})


def _measure(path: Path) -> Measured:
    parts = [part.strip().splitlines() for part in path.read_text().strip().split("\n\n")]
    lines = [line for part in parts for line in part]
    true = [len(part) for part in parts]
    made = [len(topic.sentences) for topic in topics([Sentence(float(at), at + 1.0, line) for at, line in enumerate(lines)])]
    share, more = divmod(len(lines), len(true))
    equal = [share + (number < more) for number in range(len(true))]
    return Measured(path.stem, len(lines), len(true), len(made), _scores(true, made), _scores(true, equal))


def _scores(true: Sequence[int], guess: Sequence[int]) -> Scores:
    """Of numbers of sentences in each topic."""
    window = max(1, round(sum(true) / len(true) / 2))
    pairs = list(zip(_cuts(true, window), _cuts(guess, window), strict=True))
    parted = sum(bool(here) != bool(there) for here, there in pairs)
    differ = sum(here != there for here, there in pairs)
    return Scores(round(parted / len(pairs), 3), round(differ / len(pairs), 3))


def _cuts(sizes: Sequence[int], window: int) -> list[int]:
    """How many there are within `window` sentences from each on."""
    topic = [number for number, size in enumerate(sizes) for _ in range(size)]
    return [last - first for first, last in zip(topic, topic[window:], strict=False)]


def _mean(scores: Sequence[Scores]) -> Scores:
    return Scores(*(round(sum(each) / len(scores), 3) for each in zip(*scores, strict=True)))


def _figures(measured: Measured) -> dict[str, object]:
    return measured._asdict() | {"ours": measured.ours._asdict(), "equal": measured.equal._asdict()}


def _shown(scores: Scores) -> str:
    return f"{scores.pk:.2f}, {scores.window_diff:.2f}"
