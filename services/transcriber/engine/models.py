"""Which Whisper model a job gets, and where its files are: bundled ones are installed into the model directory, others come from the hub.

`python -m services.transcriber.engine.models fetch` installs all that is bundled ahead of time, for images and first runs.
"""

import os
import sys
from pathlib import Path

import msgspec

from common.errors import VerbatimError
from common.settings import SettingsError, load
from services.transcriber.engine.hardware import forbid_telemetry
from services.transcriber.engine.installing import install
from services.transcriber.engine.manifest import BUNDLED, WHISPER_BASE
from services.transcriber.engine.settings import EngineSettings


class Whisper(msgspec.Struct, frozen=True):
    """`name` is for people; `source` is a directory, or a name that the hub knows and whose files are kept in `cache`."""

    name: str
    source: str
    cache: str
    bundled: bool


def default(settings: EngineSettings, device: str) -> str:
    """The model of jobs that name none: that of the settings, else large-v3 on a GPU, else the bundled base."""
    return settings.whisper_model_size or ("large-v3" if device == "cuda" else "base")


def locate(settings: EngineSettings, name: str) -> Whisper:
    """Where the Whisper model `name` is; `base` is always the bundled one."""
    root = Path(settings.verbatim_model_dir).absolute()
    bundled = name == "base"
    source = os.fspath(install(WHISPER_BASE, root)) if bundled else name
    return Whisper(Path(name).name, source, os.fspath(root / "hub"), bundled)


def main(arguments: list[str]) -> int:
    """`fetch`: install every bundled model; one line for each."""
    if arguments != ["fetch"]:
        print("usage: python -m services.transcriber.engine.models fetch", file=sys.stderr)  # noqa: T201 - a command line prints
        return 2
    try:
        root = Path(load(EngineSettings, os.environ).verbatim_model_dir).absolute()
        for model in BUNDLED:
            print(f"{model.name} ({model.licence}): {install(model, root)}", flush=True)  # noqa: T201 - a command line prints
        forbid_telemetry(os.environ)
        # Not at the top: it imports torch and pyannote, which the engine itself does not before they are needed.
        from services.transcriber.engine.diarization.bundle import install_pipeline  # noqa: PLC0415

        print(f"diarization pipeline: {install_pipeline(root)}", flush=True)  # noqa: T201 - a command line prints
    except (SettingsError, VerbatimError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command line prints
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
