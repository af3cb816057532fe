"""What a stage came to, written down so that a later attempt need not do it again.

A checkpoint is taken up only by whoever would have come to the same: its fingerprint covers the recording, the options, and what the stage
is done with, models, settings and libraries. Nor does it outlive what it was made of. One that does not fit, or is damaged, is passed over,
and the stage is done. What took less time than storing it is worth is not written at all, so short recordings never cost a file.
"""

import contextlib
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from services.transcriber import protocol
from services.transcriber.engine.diarization.sources import sources
from services.transcriber.engine.settings import EngineSettings
from services.transcriber.protocol import Stage

T = TypeVar("T")

log = logging.getLogger(__name__)

_FORMAT = 2
"""Goes up when what a stage writes down means something else than before."""

_BEFORE = ("av", "faster-whisper", "onnxruntime")
"""Decode, and find speech."""

_LIBRARIES: dict[Stage, tuple[str, ...]] = {
    "transcribe": (*_BEFORE, "ctranslate2", "torch", "whisperx"),
    "align": (*_BEFORE, "g2p2", "torch", "torchaudio", "transformers", "whisperx"),
    "diarize": (*_BEFORE, "pyannote-audio", "torch"),
}


class Kept(msgspec.Struct, frozen=True):
    """`digest` is of `value`."""

    fingerprint: str
    digest: str
    value: msgspec.Raw


class Checkpoints:
    """One request's. Without a `folder` there are none and none are written.

    `made_of` is what a stage was given by one before it, if that may differ from one attempt to the next.
    """

    def __init__(
        self, folder: Path | None, fingerprints: Mapping[Stage, str], least_seconds: float, written: Callable[[Stage], None]
    ) -> None:
        self._folder, self._fingerprints = folder, fingerprints
        self._least_seconds, self._written = least_seconds, written

    def load(self, stage: Stage, kind: type[T], made_of: object = None) -> T | None:
        """What `stage` came to in an earlier attempt; None when that is not known."""
        if self._folder is None:
            return None
        try:
            kept = _read(self._folder / f"{stage}.json")
            if kept.fingerprint != self._fingerprint(stage, made_of):
                log.info("the checkpoint of stage %s is of another model, setting, version or hearing: the stage is done again", stage)
                return None
            return msgspec.json.decode(kept.value, type=kind)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("the checkpoint of stage %s cannot be used, the stage is done again: %s", stage, error)
            return None

    def save(self, stage: Stage, value: Any, seconds: float, made_of: object = None) -> None:
        """Write down what `stage` came to in so many seconds, whole or not at all. A failure costs a later attempt time, nothing else."""
        if self._folder is None or seconds < self._least_seconds:
            return
        raw = msgspec.Raw(msgspec.json.encode(value, enc_hook=_plain))
        kept = Kept(self._fingerprint(stage, made_of), _digest(raw), raw)
        partial = self._folder / f"{stage}.partial"
        try:
            partial.write_bytes(msgspec.json.encode(kept))
            partial.replace(self._folder / f"{stage}.json")
        except OSError as error:
            log.warning("the checkpoint of stage %s cannot be written: %s", stage, error)
        else:
            self._written(stage)

    def _fingerprint(self, stage: Stage, made_of: object) -> str:
        return _digest(msgspec.json.encode((self._fingerprints[stage], made_of), enc_hook=_plain))


NONE = Checkpoints(None, {}, 0.0, lambda _stage: None)
"""For a request of which nothing is kept."""


def tools(settings: EngineSettings, models: Mapping[str, str], device: str) -> dict[Stage, object]:
    """What each stage is done with."""
    chosen: dict[Stage, object] = {
        "transcribe": (settings.whisper_model_size, settings.openai_base_url),
        "align": (settings.alignment, settings.whisper_model_size, device),  # the last two have a say in who is asked first
        "diarize": sources(settings),
    }
    return {stage: (models, choice, _versions(_LIBRARIES[stage])) for stage, choice in chosen.items()}


def fingerprints(request: protocol.Transcribe, tools: Mapping[Stage, object]) -> dict[Stage, str]:
    """For each stage the same for two attempts exactly when both, given the same, would come to the same."""
    asked = (_FORMAT, request.sha256, request.options)
    return {stage: _digest(msgspec.json.encode((*asked, tool), order="sorted")) for stage, tool in tools.items()}


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


def _versions(libraries: Sequence[str]) -> dict[str, str]:
    """Not every engine needs all of them."""
    found = {}
    for name in libraries:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _digest(value: bytes | msgspec.Raw) -> str:
    return hashlib.sha256(bytes(value)).hexdigest()
