"""Which aligners to ask, in which order.

`auto` asks WhisperX's own first where there is a GPU. On a CPU the bundled one comes first: for the languages that it knows it is about as
exact, and many times faster. A hub is only asked by those who use one for Whisper as well, or who named `wav2vec2`. The `openai` engine
does without torch, and so with the bundled one alone.
"""

from pathlib import Path

from services.transcriber.engine.alignment.alignment import Alignment, Models
from services.transcriber.engine.alignment.phonemes import PhonemeModels
from services.transcriber.engine.hardware import Hardware
from services.transcriber.engine.installing import install
from services.transcriber.engine.manifest import ALIGNER
from services.transcriber.engine.settings import EngineSettings
from services.transcriber.engine.shelf import Shelf


def choose_aligners(settings: EngineSettings, hardware: Hardware, shelf: Shelf, *, hub: bool) -> Alignment:
    """Nothing is loaded yet: each aligner is when a recording first needs it."""
    root = Path(settings.verbatim_model_dir).absolute()
    bundled = PhonemeModels(shelf, lambda: install(ALIGNER, root), hardware.threads)
    match settings.alignment:
        case "whisper":
            order: tuple[Models, ...] = ()
        case "ctc":
            order = (bundled,)
        case "auto" if settings.engine == "openai":
            order = (bundled,)
        case "wav2vec2":
            order = (_letters(shelf, root, hardware, download=True),)
        case "auto":
            own = _letters(shelf, root, hardware, download=hub)
            order = (bundled, own) if hardware.device == "cpu" else (own, bundled)
    return Alignment(order)


def _letters(shelf: Shelf, root: Path, hardware: Hardware, *, download: bool) -> Models:
    from services.transcriber.engine.alignment.letters import LetterModels  # noqa: PLC0415 - imports torch

    return LetterModels(shelf, root, hardware.device, download=download)
