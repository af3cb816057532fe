"""Sentences grouped into topics: where the words that are used change, there begins another one.

Each sentence is a vector of its words (TF-IDF), and the recording is divided where that makes the parts alike in themselves. A cut between
sentences that have nothing to do with each other gains about 1 wherever it is made, however long the recording; hence a price a little
above that is all that has to be chosen. A topic's summary is its sentence nearest to all the others.

Words are counted by their beginnings, which takes most endings away in any language, and short ones, which are mostly grammar, not at all;
in scripts without spaces pairs of characters are counted.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import ruptures
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from common.transcript import Sentence, Topic
from services.transcriber.engine.reference.folding import tokens, weight

_PRICE = 1.3
"""Of a cut, measured on texts put together of several (docs/architecture/topics.md)."""

_FEWEST = 3
"""Sentences in a topic."""

_BEGINNING, _SHORT = 6, 3
_COMMON = 0.3
"""A word that is in a larger share of the sentences tells none from another."""

_FEW = 20
"""Sentences of which nothing can be said so."""

_MOST_UNITS, _MOST_WORDS = 4_000, 5_000
"""What is compared at most: 160 MB. Of longer recordings several sentences at a time."""

_LONGEST_SUMMARY = 120

Vectors = NDArray[np.float64]


def topics(sentences: Sequence[Sentence]) -> tuple[Topic, ...]:
    """All sentences, in their order, each in one topic; none for none."""
    if not sentences:
        return ()
    step = -(-len(sentences) // _MOST_UNITS)
    units = [sentences[at : at + step] for at in range(0, len(sentences), step)]
    vectors = _vectors([" ".join(sentence.text for sentence in unit) for unit in units])
    made = []
    for first, last in _divided(vectors):
        own = [sentence for unit in units[first:last] for sentence in unit]
        summary = units[first + _central(vectors[first:last])][0].text
        made.append(
            Topic(
                summary=_line(summary),
                start=own[0].start,
                end=max(sentence.end for sentence in own),
                seconds=round(sum(sentence.end - sentence.start for sentence in own), 3),
                sentences=tuple(own),
            )
        )
    return tuple(made)


def _vectors(texts: Sequence[str]) -> Vectors:
    """One of length 1 for each text, or of 0 where no word tells it from others."""
    if not any(map(_words, texts)):
        return np.zeros((len(texts), 1))
    common = _COMMON if len(texts) > _FEW else 1.0
    vectorizer = TfidfVectorizer(analyzer=_words, sublinear_tf=True, max_df=common, max_features=_MOST_WORDS)
    vectors: Vectors = vectorizer.fit_transform(texts).toarray()
    return vectors


def _words(text: str) -> list[str]:
    found: list[str] = []
    sign = ""
    for token in tokens(text):
        if len(token) > 1:
            sign = ""
            if weight(token) > _SHORT:
                found.append(token[:_BEGINNING])
        else:
            if sign:
                found.append(sign + token)
            sign = token
    return found


def _divided(vectors: Vectors) -> Iterator[tuple[int, int]]:
    """First and behind the last of each part."""
    if len(vectors) < 2 * _FEWEST:
        yield 0, len(vectors)
        return
    first = 0
    for last in ruptures.KernelCPD(kernel="linear", min_size=_FEWEST).fit_predict(vectors, pen=_PRICE):
        yield first, last
        first = last


def _central(vectors: Vectors) -> int:
    return int((vectors @ vectors.sum(axis=0)).argmax())


def _line(text: str) -> str:
    """As much of it as a line takes."""
    if len(text) <= _LONGEST_SUMMARY:
        return text
    cut = text[:_LONGEST_SUMMARY]
    return f"{cut.rpartition(' ')[0] or cut}…"
