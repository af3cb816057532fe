"""The engine child's composition root: `python -m services.transcriber.engine`, spawned by the transcriber.

Its input is watched from the first moment, so a parent that dies while models load takes this process along. Signals that reach the
whole process group (Ctrl-C, a service manager's SIGTERM) are the parent's to act on: it drains, then closes our input.
"""

import logging
import os
import signal
import sys
import time

from common.errors import VerbatimError
from common.settings import SettingsError, load

from services.transcriber import protocol
from services.transcriber.engine.channel import Channel
from services.transcriber.engine.hardware import choose, prepare_environment
from services.transcriber.engine.models import locate
from services.transcriber.engine.settings import EngineSettings

log = logging.getLogger("services.transcriber.engine")


def main() -> None:
    """Runs until the parent is gone; exits with 78 when the settings or the model cannot work."""
    started = time.monotonic()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    channel = Channel.claim()
    try:
        settings = load(EngineSettings, os.environ)
        prepare_environment(settings, os.environ)
        _serve(settings, channel, started)
    except (SettingsError, VerbatimError) as error:
        log.error("%s", error)
        sys.exit(78)


def _serve(settings: EngineSettings, channel: Channel, started: float) -> None:
    hardware = choose(settings, _cuda_available(settings))
    whisper = locate(settings, hardware.device)
    if whisper.bundled:
        os.environ["HF_HUB_OFFLINE"] = "1"

    from services.transcriber.engine.engine import VAD_MODEL, Engine
    from services.transcriber.engine.recogniser import load_recogniser
    from services.transcriber.engine.work import DecodeAhead, work

    recogniser = load_recogniser(whisper.source, hardware, settings.verbatim_model_dir, settings.hf_token)
    models = {"asr": f"whisper {whisper.name} ({hardware.compute_type})", "vad": VAD_MODEL}
    engine = Engine(recogniser, hardware, models)
    channel.send(protocol.Ready(hardware.device, models, round(time.monotonic() - started, 3)))
    work(DecodeAhead(channel.requests), engine, channel.send)


def _cuda_available(settings: EngineSettings) -> bool:
    if settings.whisper_device != "auto":
        return False
    import torch

    return torch.cuda.is_available()


if __name__ == "__main__":
    main()
