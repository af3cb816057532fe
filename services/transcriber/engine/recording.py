"""A recording on its way through the engine's steps."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from services.transcriber import protocol
from services.transcriber.engine.heard import Span
from services.transcriber.engine.media import Audio, Samples
from services.transcriber.engine.stages import Stages


class Recording(NamedTuple):
    """Its samples, where in them somebody speaks, what was asked for, and where to report how it goes."""

    audio: Audio
    speech: tuple[Span, ...]
    options: protocol.Options
    stages: Stages


def unshown(_span: Span, _text: str) -> None:
    """Nobody looks on while this is heard."""


def wanted() -> None:
    """Somebody waits for it to the end."""


class Task(NamedTuple):
    """Speech (in order, not empty) in one recording's samples.

    `on_progress` gets fractions of 1, `on_heard` what a stretch sounds like, which may change. They and `stay`, which may be asked by any
    thread, raise `Cancelled` when nobody waits for any of those that are heard together.
    """

    samples: Samples
    speech: Sequence[Span]
    options: protocol.Options
    on_progress: Callable[[float], None]
    on_heard: Callable[[Span, str], None] = unshown
    stay: Callable[[], None] = wanted
