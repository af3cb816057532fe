"""WhisperX by itself, as its README shows it: load once, then transcribe file after file.

Run as a process with a WAV file as its argument. Model, compute type, threads and batch size are those that Verbatim's engine chooses on
this machine. Each line on stdin, `COPIES VAD`, transcribes the file so many times with that voice activity detector (`pyannote`, which is
WhisperX's default, or `silero`, which is Verbatim's) and prints the seconds that took.
"""

import json
import os
import sys
import time
import wave
from pathlib import Path
from typing import Any, NamedTuple

from common.settings import load
from services.transcriber.engine.hardware import choose, prepare_environment
from services.transcriber.engine.models import default, locate
from services.transcriber.engine.settings import EngineSettings

SETTINGS = load(EngineSettings, os.environ)
prepare_environment(SETTINGS, os.environ)  # numeric libraries read the thread count when they are imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
import whisperx  # noqa: E402
from faster_whisper.vad import VadOptions, get_speech_timestamps  # noqa: E402
from whisperx.vads.vad import Vad  # noqa: E402

_RATE = 16_000


def main(path: Path) -> None:
    """Answer lines until stdin ends; the first answer says that the models are loaded."""
    hardware = choose(SETTINGS, torch.cuda.is_available())
    torch.set_num_threads(hardware.threads)
    source = locate(SETTINGS, default(SETTINGS, hardware.device)).source
    settings = {"device": hardware.device, "compute_type": hardware.compute_type, "threads": hardware.threads}
    models = {"pyannote": whisperx.load_model(source, **settings), "silero": whisperx.load_model(source, **settings, vad_model=Silero())}
    answer(batch_size=hardware.batch_size, **settings)
    for line in sys.stdin:
        copies, vad = line.split()
        began = time.perf_counter()
        for _ in range(int(copies)):
            result = models[vad].transcribe(read(path), batch_size=hardware.batch_size)
        answer(seconds=time.perf_counter() - began, text=" ".join(segment["text"].strip() for segment in result["segments"]))


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
    main(Path(sys.argv[1]))
