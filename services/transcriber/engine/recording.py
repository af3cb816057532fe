"""A recording on its way through the engine's steps."""

from typing import NamedTuple

from services.transcriber import protocol
from services.transcriber.engine.heard import Span
from services.transcriber.engine.media import Audio
from services.transcriber.engine.stages import Stages


class Recording(NamedTuple):
    """Its samples, where in them somebody speaks, what was asked for, and where to report how it goes."""

    audio: Audio
    speech: tuple[Span, ...]
    options: protocol.Options
    stages: Stages
