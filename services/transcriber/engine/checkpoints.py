"""What a stage came to, written down so that a later attempt need not do it again.

A checkpoint is taken up only by whoever would have come to the same: its fingerprint covers the recording, the options, the models and the
libraries. One that does not fit, or is damaged, is passed over, and the stage is done. What took less time than storing it is worth is not
written at all, so short recordings never cost a file.
"""

import contextlib
import hashlib
import logging
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from services.transcriber import protocol
from services.transcriber.protocol import Stage

T = TypeVar("T")

log = logging.getLogger(__name__)

_FORMAT = 1
"""Goes up when what a stage writes down means something else than before."""

_LIBRARIES = ("whisperx", "faster-whisper", "ctranslate2")


class Kept(msgspec.Struct, frozen=True):
    """`digest` is of `value`."""

    fingerprint: str
    digest: str
    value: msgspec.Raw


class Checkpoints:
    """One request's. Without a `folder` there are none and none are written."""

    def __init__(self, folder: Path | None, fingerprint: str, least_seconds: float, written: Callable[[Stage], None]) -> None:
        self._folder, self._fingerprint = folder, fingerprint
        self._least_seconds, self._written = least_seconds, written

    def load(self, stage: Stage, kind: type[T]) -> T | None:
        """What `stage` came to in an earlier attempt; None when that is not known."""
        if self._folder is None:
            return None
        try:
            kept = _read(self._folder / f"{stage}.json")
            if kept.fingerprint != self._fingerprint:
                log.info("the checkpoint of stage %s is of another model, library or version: the stage is done again", stage)
                return None
            return msgspec.json.decode(kept.value, type=kind)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("the checkpoint of stage %s cannot be used, the stage is done again: %s", stage, error)
            return None

    def save(self, stage: Stage, value: Any, seconds: float) -> None:
        """Write down what `stage` came to in so many seconds, whole or not at all. A failure costs a later attempt time, nothing else."""
        if self._folder is None or seconds < self._least_seconds:
            return
        raw = msgspec.Raw(msgspec.json.encode(value, enc_hook=_plain))
        kept = Kept(self._fingerprint, _digest(raw), raw)
        partial = self._folder / f"{stage}.partial"
        try:
            partial.write_bytes(msgspec.json.encode(kept))
            partial.replace(self._folder / f"{stage}.json")
        except OSError as error:
            log.warning("the checkpoint of stage %s cannot be written: %s", stage, error)
        else:
            self._written(stage)


NONE = Checkpoints(None, "", 0.0, lambda _stage: None)
"""For a request of which nothing is kept."""


def fingerprint(request: protocol.Transcribe, models: Mapping[str, str]) -> str:
    """The same for two attempts exactly when both would come to the same."""
    document = msgspec.json.encode((_FORMAT, request.sha256, request.options, models, _versions()), order="sorted")
    return hashlib.sha256(document).hexdigest()


def _plain(value: object) -> object:
    """Numbers come from numpy here and there."""
    match value:
        case Integral():
            return int(value)
        case Real():
            return float(value)
        case _:
            raise NotImplementedError(type(value).__name__)


def _read(path: Path) -> Kept:
    """Raises `OSError`, or `ValueError` when it is damaged."""
    kept = msgspec.json.decode(path.read_bytes(), type=Kept)
    if kept.digest != _digest(kept.value):
        raise ValueError("its digest is wrong")
    return kept


def _versions() -> dict[str, str]:
    """Not every engine needs all of them."""
    found = {}
    for name in _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _digest(value: msgspec.Raw) -> str:
    return hashlib.sha256(bytes(value)).hexdigest()
