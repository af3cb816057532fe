"""The engine child's composition root: `python -m services.transcriber.engine`, spawned by the transcriber.

Its input is watched from the first moment, so a parent that dies while models load takes this process along. Signals that reach the
whole process group (Ctrl-C, a service manager's SIGTERM) are the parent's to act on: it drains, then kills us or closes our input.
"""

import logging
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from common.errors import VerbatimError
from common.settings import SettingsError, load
from services.transcriber import protocol
from services.transcriber.engine import logs
from services.transcriber.engine.channel import Channel
from services.transcriber.engine.checkpoints import Checkpoints, fingerprints, tools
from services.transcriber.engine.diarization.sources import wants_hub
from services.transcriber.engine.failures import Cancelled
from services.transcriber.engine.hardware import (
    Hardware,
    choose,
    lower,
    memory_used,
    prepare_environment,
    release_memory,
)
from services.transcriber.engine.models import Whisper, default, locate
from services.transcriber.engine.settings import EngineSettings
from services.transcriber.engine.shelf import Shelf
from services.transcriber.engine.stages import Stages

if TYPE_CHECKING:
    from services.transcriber.engine.engine import Engine
    from services.transcriber.engine.heard import Span
    from services.transcriber.engine.media import Audio

EXIT_UNUSABLE = 78
"""The settings or the model cannot work; the log says why."""

log = logging.getLogger("services.transcriber.engine")


def main() -> None:
    started = time.monotonic()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logs.configure()
    logs.capture()
    channel = Channel.claim()
    try:
        settings = load(EngineSettings, os.environ)
        logs.configure(settings.log_level, settings.log_format)
        prepare_environment(settings, os.environ)
        _serve(settings, channel, started)
    except (SettingsError, VerbatimError) as error:
        log.error("%s", error)
        sys.exit(EXIT_UNUSABLE)


def _serve(settings: EngineSettings, channel: Channel, started: float) -> None:
    # Here and below, not at the top: these read the environment that was prepared above while they are imported.
    from services.transcriber.engine.copier.keeper import Copier  # noqa: PLC0415
    from services.transcriber.engine.decoder.keeper import Decoder  # noqa: PLC0415

    memory = settings.decode_memory_limit_mb * 2**20
    decoder = Decoder(memory=memory, seconds=settings.decode_time_limit_seconds)
    copier = Copier(memory=memory, seconds=settings.decode_time_limit_seconds)
    engine = _openai(settings) if settings.engine == "openai" else _whisperx(settings)

    from services.transcriber.engine.ahead import MOST_TOGETHER, Ahead  # noqa: PLC0415
    from services.transcriber.engine.aside import Aside  # noqa: PLC0415
    from services.transcriber.engine.channels import load as load_recording  # noqa: PLC0415
    from services.transcriber.engine.work import work  # noqa: PLC0415

    channel.send(protocol.Ready(engine.hardware.device, engine.models, round(time.monotonic() - started, 3)))

    used = tools(settings, engine.models, engine.hardware.device)

    def report(request: protocol.Transcribe) -> Stages:
        kept = Checkpoints(
            None if request.checkpoints is None else Path(request.checkpoints),
            fingerprints(request, used),
            settings.checkpoint_least_seconds,
            lambda stage: channel.send(protocol.Checkpointed(request.id, stage)),
        )
        return Stages(request.id, channel.send, request.options, checkpoints=kept, cancelled=lambda: request.id in channel.cancelled)

    def stay(request: protocol.Transcribe) -> None:
        if request.id in channel.cancelled:
            raise Cancelled

    def decode(request: protocol.Transcribe) -> "Audio":
        stay(request)
        return load_recording(Path(request.source), request.options, partial(decoder.read, stay=partial(stay, request)))

    def find_speech(request: protocol.Transcribe, audio: "Audio") -> "tuple[Span, ...]":
        return engine.find_speech(audio, request.options, lambda _fraction: stay(request))

    # Elsewhere finishing would take from hearing what it gains.
    apart = settings.engine == "openai" or engine.hardware.device == "cuda"
    # A server has no batches to share, and what it has answered would be paid again when another's upload fails.
    together = 1 if settings.engine == "openai" else MOST_TOGETHER
    ahead = Ahead(channel.requests, decode, find_speech, held=3 if apart else 2, together=together, forget=channel.forget)
    try:
        work(ahead, engine, channel.send, report, copier.copy, Aside() if apart else None)
    except SystemExit as ending:
        # A device that has failed can hang whoever takes leave of it.
        os._exit(int(ending.code or 0))


def _whisperx(settings: EngineSettings) -> "Engine":
    hardware = choose(settings, _cuda_devices(settings))
    name = default(settings, hardware.device)
    whisper = locate(settings, name)
    if whisper.bundled and not set(settings.whisper_models) - {name} and not wants_hub(settings):
        os.environ["HF_HUB_OFFLINE"] = "1"

    from services.transcriber.engine.alignment.choice import choose_aligners  # noqa: PLC0415
    from services.transcriber.engine.diarization.speech_turns import SpeechTurns, loader  # noqa: PLC0415
    from services.transcriber.engine.engine import VAD_MODEL, Engine  # noqa: PLC0415
    from services.transcriber.engine.loaded import Loaded, LoadedModels, Rung  # noqa: PLC0415
    from services.transcriber.engine.recogniser import ON_CPU, SMALLER_COMPUTE_TYPE, load_recogniser  # noqa: PLC0415

    shelf = shelf_for(settings, hardware.device)

    def label(whisper: Whisper, hardware: Hardware = hardware) -> str:
        return f"whisper {whisper.name} ({hardware.compute_type})"

    def load_model(name: str, hardware: Hardware = hardware) -> Loaded:
        whisper = locate(settings, name)
        return Loaded(label(whisper, hardware), load_recogniser(whisper, hardware, settings.hf_token))

    def rung(step: Hardware) -> Rung:
        def load_less(name: str) -> Loaded:
            release_memory(hardware.device)
            return load_model(name, step)

        return Rung(SMALLER_COMPUTE_TYPE if step.device == hardware.device else ON_CPU, load_less)

    recogniser = LoadedModels(
        shelf,
        load_model,
        default=name,
        offered=settings.whisper_models,
        ladder=[rung(step) for step in lower(hardware)],
    )
    models = {"asr": label(whisper), "vad": VAD_MODEL}
    aligners = choose_aligners(settings, hardware, shelf, hub=not whisper.bundled)
    on_cpu = None if hardware.device == "cpu" else loader(settings, msgspec.structs.replace(hardware, device="cpu"))
    return Engine(recogniser, aligners, SpeechTurns(shelf, loader(settings, hardware), on_cpu), hardware, models)


def _openai(settings: EngineSettings) -> "Engine":
    """Nothing on this path imports torch before somebody asks for speakers: all that runs here is the detector and the bundled aligner."""
    from services.transcriber.engine.alignment.choice import choose_aligners  # noqa: PLC0415
    from services.transcriber.engine.diarization.speech_turns import SpeechTurns, loader  # noqa: PLC0415
    from services.transcriber.engine.engine import VAD_MODEL, Engine  # noqa: PLC0415
    from services.transcriber.engine.remote.recogniser import connect  # noqa: PLC0415

    hardware = choose(settings, cuda_devices=0)
    shelf = shelf_for(settings, hardware.device)
    models = {"asr": f"openai {settings.openai_model}", "vad": VAD_MODEL}
    aligners = choose_aligners(settings, hardware, shelf, hub=False)
    return Engine(connect(settings), aligners, SpeechTurns(shelf, loader(settings, hardware)), hardware, models)


def shelf_for(settings: EngineSettings, device: str) -> Shelf:
    """For all models, within the settings' bounds."""
    shelf = Shelf(
        budget=None if settings.models_memory_mb is None else settings.models_memory_mb * 2**20,
        used=lambda: memory_used(device),
        release=lambda: release_memory(device),
    )
    if settings.model_idle_seconds is not None:
        shelf.unload_when_idle(settings.model_idle_seconds)
    return shelf


def _cuda_devices(settings: EngineSettings) -> int:
    """Asked of torch, whose import also loads the cuBLAS and cuDNN of its wheels, which CTranslate2 then finds in this process."""
    if settings.whisper_device == "cpu":
        return 0
    import torch  # noqa: PLC0415

    return torch.cuda.device_count()


if __name__ == "__main__":
    main()
