"""Word times for a whole recording: chunk by chunk, with the first aligner that knows the chunk's language.

Where none does, or one fails, a chunk keeps the times that the recogniser gave its words: alignment improves a transcript and never costs
one. A failure is noted, and an aligner that could not be had is not asked for again for a while.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import NamedTuple, Protocol

from common.transcript import Note
from services.transcriber.engine import failures, words
from services.transcriber.engine.alignment.ctc import CtcModel, Found, align
from services.transcriber.engine.heard import Chunk, Heard
from services.transcriber.engine.media import SAMPLE_RATE, Samples, waveform
from services.transcriber.engine.words import PlacedWord

log = logging.getLogger(__name__)

OWN = "recogniser"
"""Whisper's cross-attention, or what a server said."""

RETRY_SECONDS = 300.0


class Models(Protocol):
    """Where aligners come from."""

    def use(self, language: str) -> AbstractContextManager[CtcModel | None]:
        """The model for the block to use, None when there is none for `language`; raises when there is one and it cannot be had."""
        ...


class Placed(NamedTuple):
    """The recording's words in order; the aligners that were used; what went wrong."""

    words: list[PlacedWord]
    aligners: tuple[str, ...]
    notes: tuple[Note, ...]

    @property
    def best(self) -> bool:
        """Nothing went wrong."""
        return not self.notes


class Alignment:
    """`preferred`: the best first; none, to keep the times that there are."""

    def __init__(self, preferred: Sequence[Models], clock: Callable[[], float] = time.monotonic) -> None:
        self._preferred, self._clock = preferred, clock
        self._missing_until: dict[tuple[int, str], float] = {}

    def place(self, heard: Heard, samples: Samples, on_progress: Callable[[float], None]) -> Placed:
        """`samples` is the whole recording; `on_progress` gets fractions of 1."""
        placed: list[PlacedWord] = []
        used: dict[str, None] = {}
        notes: dict[Note, None] = {}
        for number, chunk in enumerate(heard.chunks, 1):
            with ExitStack() as stack:
                model = self._model(chunk.language, notes, stack)
                found = self._align(model, chunk, samples, notes) if model and chunk.words else []
            placed += words.place(chunk, samples, found)
            if model and any(found):
                used[model.name] = None
            elif any(word.start is not None for word in chunk.words):
                used[OWN] = None
            on_progress(number / len(heard.chunks))
        return Placed(placed, tuple(used), tuple(notes))

    def _model(self, language: str, notes: dict[Note, None], stack: ExitStack) -> CtcModel | None:
        for index, models in enumerate(self._preferred):
            missing = self._clock() < self._missing_until.get((index, language), 0.0)
            if not missing:
                try:
                    model = stack.enter_context(models.use(language))
                except Exception as error:
                    if failures.poisons_device(error):
                        raise
                    log.warning("no aligner for %s: %s", language, error)
                    self._missing_until[index, language] = self._clock() + RETRY_SECONDS
                    missing = True
                else:
                    if model is not None:
                        return model
            if missing:
                notes[Note("aligner_unavailable", f"An aligner for {language!r} could not be loaded; word times are less exact.")] = None
        return None

    def _align(self, model: CtcModel, chunk: Chunk, samples: Samples, notes: dict[Note, None]) -> list[Found | None]:
        stretch = waveform(samples[int(chunk.span.start * SAMPLE_RATE) : int(chunk.span.end * SAMPLE_RATE)])
        try:
            return align(model, [word.text for word in chunk.words], chunk.language, stretch)
        except Exception as error:
            if failures.poisons_device(error):
                raise
            log.exception("aligning %.3f-%.3f s with %s failed", chunk.span.start, chunk.span.end, model.name)
            notes[Note("alignment_failed", "Some words could not be aligned; their times are less exact.")] = None
            return []
