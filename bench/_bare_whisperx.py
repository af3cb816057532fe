"""WhisperX by itself, as its README shows it: load once, then transcribe file after file.

Model, compute type, threads and batch size are those that Verbatim's engine chooses on this machine. Each line on stdin is a `Request`; the
answer is a line with the seconds that all of its files took and, for each file, the text and who speaks when. With `full`, words are
aligned and speakers told apart by WhisperX's own `align`, `DiarizationPipeline` and `assign_word_speakers`, on the weights that Verbatim
bundles.
"""

import json
import os
import sys
import time
import wave
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from common.settings import load
from services.transcriber.engine.hardware import choose, prepare_environment
from services.transcriber.engine.installing import install
from services.transcriber.engine.manifest import ALIGNER
from services.transcriber.engine.models import default, locate
from services.transcriber.engine.settings import EngineSettings

SETTINGS = load(EngineSettings, os.environ)
prepare_environment(SETTINGS, os.environ)  # numeric libraries read the thread count when they are imported

import nltk  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
import whisperx  # noqa: E402
import whisperx.alignment  # noqa: E402
import whisperx.diarize  # noqa: E402
from faster_whisper.vad import VadOptions, get_speech_timestamps  # noqa: E402
from whisperx.vads.vad import Vad  # noqa: E402

from services.transcriber.engine.alignment.phonemes import Phonemes  # noqa: E402
from services.transcriber.engine.diarization.bundle import install_pipeline  # noqa: E402

_RATE = 16_000
_PRIVATE = 0xE000
"""Phonemes become characters of Unicode's private use area: WhisperX aligns characters."""


class Request(msgspec.Struct, frozen=True):
    """WAV files; `vad` is `pyannote`, which is WhisperX's default, or `silero`, which is Verbatim's. Languages are detected or given."""

    paths: list[str]
    vad: Literal["pyannote", "silero"] = "pyannote"
    languages: list[str] | None = None
    full: bool = False


def main() -> None:
    """Answer lines until stdin ends; the first answer says that the models are loaded."""
    hardware = choose(SETTINGS, int(torch.cuda.is_available()))
    torch.set_num_threads(hardware.threads)
    source = locate(SETTINGS, default(SETTINGS, hardware.device)).source
    settings = {"device": hardware.device, "compute_type": hardware.compute_type, "threads": hardware.threads}
    models = {"pyannote": whisperx.load_model(source, **settings), "silero": whisperx.load_model(source, **settings, vad_model=Silero())}
    rest = Rest(hardware.threads)
    answer(batch_size=hardware.batch_size, **settings)
    for line in sys.stdin:
        request = msgspec.json.decode(line, type=Request)
        languages = request.languages or [""] * len(request.paths)
        if request.full:
            rest.load()
        files = []
        began = time.perf_counter()
        for path, language in zip(request.paths, languages, strict=True):
            audio = read(Path(path))
            result = heard(models[request.vad], audio, batch_size=hardware.batch_size, language=language or None)
            turns = rest.finish(result, audio) if request.full else []
            files.append({"text": " ".join(segment["text"].strip() for segment in result["segments"]), "turns": turns})
        answer(seconds=time.perf_counter() - began, files=files)


def heard(model: Any, audio: Any, **options: Any) -> dict[str, Any]:
    """WhisperX's result. Where silero finds no speech WhisperX raises an `IndexError`: it has heard nothing."""
    try:
        found: dict[str, Any] = model.transcribe(audio, **options)
    except IndexError:
        return {"segments": [], "language": options["language"] or "en"}
    return found


class Rest:
    """What comes after transcription, loaded when it is first wanted."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._loaded = False

    def load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        root = Path(SETTINGS.verbatim_model_dir).absolute()
        self._phonemes = Phonemes(install(ALIGNER, root), self._threads)
        self._pipeline = whisperx.diarize.DiarizationPipeline(model_name=str(install_pipeline(root)), device="cpu")
        # WhisperX would fetch a sentence splitter from the network.
        whisperx.alignment.nltk_load = lambda _path: nltk.tokenize.punkt.PunktSentenceTokenizer()

    def finish(self, result: dict[str, Any], audio: Any) -> list[list[Any]]:
        """Align and diarize; returns who speaks when: start, end, speaker."""
        segments = [{**segment, "text": self._spelt(segment["text"])} for segment in result["segments"]]
        alphabet = {chr(_PRIVATE + number): number for number in range(self._phonemes.blank)}
        metadata = {"language": "en", "dictionary": {**alphabet, "[pad]": self._phonemes.blank}, "type": "torchaudio"}
        aligned = whisperx.align(segments, self._hear, metadata, audio, "cpu")
        turns = self._pipeline(audio)
        whisperx.assign_word_speakers(turns, aligned)
        return [[row.start, row.end, row.speaker] for row in turns.itertuples()]

    def _spelt(self, text: str) -> str:
        words = (self._phonemes.tokens(f" {word}", "en") for word in text.split())
        return " ".join("".join(chr(_PRIVATE + token) for token in word) or "?" for word in words)

    def _hear(self, stretch: Any, lengths: Any) -> tuple[Any, Any]:
        return torch.from_numpy(self._phonemes.emissions(stretch[0].numpy()))[None], lengths


def read(path: Path) -> Any:
    """Samples as float32 in [-1, 1]: the cheapest way there is, so that decoding is no part of the comparison's other side."""
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32_768


def answer(**figures: Any) -> None:
    print(json.dumps(figures), flush=True)


class Stretch(NamedTuple):
    """What WhisperX expects of a detector."""

    start: float
    end: float
    speaker: str | None = None


class Silero(Vad):  # type: ignore[misc]  # whisperx is untyped
    """faster-whisper's bundled detector behind WhisperX's interface."""

    def __init__(self) -> None:
        super().__init__(0.5)

    def __call__(self, audio: dict[str, Any]) -> list[Stretch]:
        options = VadOptions(max_speech_duration_s=30, min_silence_duration_ms=160)
        spans = get_speech_timestamps(audio["waveform"], options)
        return [Stretch(span["start"] / _RATE, span["end"] / _RATE) for span in spans]

    @staticmethod
    def preprocess_audio(audio: Any) -> Any:
        return audio


if __name__ == "__main__":
    main()
