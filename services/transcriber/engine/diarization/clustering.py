"""Clustering within bounds: memory and time grow with the square of what is clustered, and hours of speech are thousands of embeddings.

So at most `MOST` of them, evenly spread over the recording, decide which speakers there are; pyannote then gives all others, as it does
with those that it finds too short, to the nearest speaker.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyannote.audio.pipelines.clustering import AgglomerativeClustering, BaseClustering, VBxClustering

MOST = 4_000
"""The distances between so many take 64 MB."""

Filtered = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]


class _Bounded(BaseClustering):  # type: ignore[misc]  # pyannote is untyped
    def filter_embeddings(self, *args: Any, **kwargs: Any) -> Filtered:
        """The embeddings that are fit to be clustered, with their windows and speakers."""
        embeddings, windows, speakers = super().filter_embeddings(*args, **kwargs)
        if len(embeddings) <= MOST:
            return embeddings, windows, speakers
        kept = np.linspace(0, len(embeddings) - 1, MOST).round().astype(np.int64)
        return embeddings[kept], windows[kept], speakers[kept]


class _BoundedAgglomerative(_Bounded, AgglomerativeClustering):  # type: ignore[misc]
    pass


class _BoundedVBx(_Bounded, VBxClustering):  # type: ignore[misc]
    pass


def bound(clustering: BaseClustering) -> BaseClustering:
    """The same clustering within bounds; one of another kind has them already."""
    if isinstance(clustering, VBxClustering):
        return _BoundedVBx(clustering.plda, metric=clustering.metric)
    if isinstance(clustering, AgglomerativeClustering):
        return _BoundedAgglomerative(metric=clustering.metric)
    return clustering
