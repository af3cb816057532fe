"""WhisperX's aligners: wav2vec2 models that hear letters, one for each language, torchaudio's or the hub's.

Only the model and its alphabet are taken from WhisperX. The path through what it hears is `ctc.align`, as for every other model: WhisperX's
own walks it in Python, letter by letter, and fetches a sentence splitter from the network.
"""

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchaudio

from common.errors import TransientError
from services.transcriber.engine.alignment.ctc import Emissions
from services.transcriber.engine.alignment.spoken import spoken
from services.transcriber.engine.imports import lean
from services.transcriber.engine.media import Waveform
from services.transcriber.engine.shelf import Name, Shelf

_FEWEST_SAMPLES = 400
"""The model's receptive field; it fails on less."""

_BLANKS = ("-", "<pad>", "[pad]", "<blank>")


class Letters:
    """One language's model, with its alphabet: lower-case letters and their tokens."""

    late: float = 0.0

    def __init__(self, name: str, model: Any, alphabet: dict[str, int], device: str) -> None:
        self.name, self._model, self._device = name, model.eval(), device
        self.blank = next((alphabet[mark] for mark in reversed(_BLANKS) if mark in alphabet), 0)
        self.separator = alphabet.get("|")
        self._alphabet = {letter: token for letter, token in alphabet.items() if token not in {self.blank, self.separator}}

    def tokens(self, word: str, language: str) -> list[int]:
        return [self._alphabet[letter] for part in spoken(word, language) for letter in part if letter in self._alphabet]

    def emissions(self, stretch: Waveform) -> Emissions:
        padded = np.pad(stretch, (0, max(0, _FEWEST_SAMPLES - len(stretch))))
        with torch.inference_mode():
            heard = self._model(torch.from_numpy(padded)[None].to(self._device))
            logits = heard.logits if hasattr(heard, "logits") else heard[0]
            found: Emissions = torch.log_softmax(logits[0].float(), dim=-1).cpu().numpy()
        return found


class LetterModels:
    """WhisperX's choice for a language, or the directory `wav2vec2-<language>` (transformers' layout) in the model directory.

    Without `download` only what is on this machine counts.
    """

    def __init__(self, shelf: Shelf, root: Path, device: str, *, download: bool) -> None:
        self._shelf, self._root, self._device, self._download = shelf, root, device, download

    def use(self, language: str) -> AbstractContextManager[Letters | None]:
        """None when there is none for the language. Raises `TransientError` `model_fetch_failed` when there is one that cannot be had."""
        return self._shelf.use(Name("aligner", f"wav2vec2-{language}"), lambda: self._load(language))

    def _load(self, language: str) -> Letters | None:
        own = self._root / f"wav2vec2-{language}"
        if not (self._download or own.is_dir() or any_held(self._root)):
            return None
        with lean():
            # Not at the top: it takes many seconds, and nobody needs it who has no such model.
            from whisperx import alignment  # noqa: PLC0415

        bundle = alignment.DEFAULT_ALIGN_MODELS_TORCH.get(language)
        named = os.fspath(own) if own.is_dir() else bundle or alignment.DEFAULT_ALIGN_MODELS_HF.get(language)
        if named is None:
            return None
        cache = self._root / ("torchaudio" if named == bundle else "hub")
        if named == bundle and not self._download and not (cache / Path(_file(named)).name).exists():
            return None
        cache.mkdir(parents=True, exist_ok=True)
        try:
            model, about = alignment.load_align_model(
                language, self._device, named, model_dir=os.fspath(cache), model_cache_only=not self._download
            )
        except (OSError, ValueError) as error:
            if not self._download and not own.is_dir():
                return None
            raise TransientError("model_fetch_failed", f"The aligner {Path(named).name} could not be loaded: {error}") from error
        return Letters(f"wav2vec2 {Path(named).name}", model, about["dictionary"], self._device)


def any_held(root: Path) -> bool:
    """Whether some aligner has been fetched before. Other models are in the hub's cache too; all that WhisperX names are called so."""
    torchaudios, hubs = root / "torchaudio", root / "hub"
    fetched = torchaudios.is_dir() and any(torchaudios.iterdir())
    return fetched or any("wav2vec2" in model.name.lower() for model in hubs.glob("models--*"))


def _file(bundle: str) -> str:
    path: str = getattr(torchaudio.pipelines, bundle)._path  # noqa: SLF001 - torchaudio has no other way to ask whether it is there
    return path
