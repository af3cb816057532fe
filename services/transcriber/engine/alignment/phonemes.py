"""The bundled aligner: a small model that hears phonemes (hama), and for each language a lexicon that says how words sound (g2p2).

Only for languages in which its times were measured (docs/architecture/word-times.md).
"""

import json
import lzma
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import g2p2
import numpy as np
import onnxruntime

from services.transcriber.engine.alignment import ipa
from services.transcriber.engine.alignment.ctc import Emissions
from services.transcriber.engine.alignment.spoken import spoken
from services.transcriber.engine.manifest import ALIGNER
from services.transcriber.engine.media import Waveform
from services.transcriber.engine.shelf import Name, Shelf

LANGUAGES = frozenset({"en", "es", "fr", "it", "ru"})

_MOST_KNOWN = 50_000
"""Words, of all languages together."""


class Phonemes:
    """The model, read from its `directory` at once; a lexicon when its language is first met.

    How a word sounds is remembered, of `most_known` words: speech never comes to the end of its numbers and names.
    """

    name: str = ALIGNER.name
    late: float = 0.02
    separator: int | None = None

    def __init__(self, directory: Path, threads: int, most_known: int = _MOST_KNOWN) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(directory / "phonemes.onnx", options, providers=["CPUExecutionProvider"])
        decoded = json.loads((directory / "vocabulary.json").read_text("utf-8"))["decoder"]
        self._vocabulary = {token: number for number, token in enumerate([*decoded, "<wb>", "<blank>"])}
        self.blank = self._vocabulary["<blank>"]
        self._directory = directory
        self._lexicons: dict[str, g2p2.Model] = {}
        self._known: dict[tuple[str, str], list[int]] = {}
        self._most_known = most_known

    def tokens(self, word: str, language: str) -> list[int]:
        key = (language, word)
        if key not in self._known:
            if len(self._known) >= self._most_known:
                self._known.clear()
            phones = "".join(self._lexicon(language).phonemize_many(spoken(word, language)))
            self._known[key] = ipa.tokens(phones, self._vocabulary)
        return self._known[key]

    def emissions(self, stretch: Waveform) -> Emissions:
        inputs = {"waveform": stretch[None], "waveform_lengths": np.array([len(stretch)], np.int64)}
        heard, lengths = self._session.run(["log_probs", "out_lengths"], inputs)
        found: Emissions = heard[0, : int(lengths[0])]
        return found

    def _lexicon(self, language: str) -> g2p2.Model:
        if language not in self._lexicons:
            packed = (self._directory / f"{language}.g2p.xz").read_bytes()
            self._lexicons[language] = g2p2.Model.from_bytes(lzma.decompress(packed))
        return self._lexicons[language]


class PhonemeModels:
    """The bundled aligner, installed and loaded when it is first needed."""

    def __init__(self, shelf: Shelf, install: Callable[[], Path], threads: int) -> None:
        self._shelf, self._install, self._threads = shelf, install, threads

    def use(self, language: str) -> AbstractContextManager[Phonemes | None]:
        """None for a language that it does not know. Raises what `install` raises."""
        if language not in LANGUAGES:
            return nullcontext()
        return self._shelf.use(Name("aligner", Phonemes.name), lambda: Phonemes(self._install(), self._threads))
