"""An engine child of which only the hearing is scripted: how requests are taken up, kept company and answered is the engine's own.

Who is to be heard alone is heard when the recording `last` has been made ready, so that all before it are, too. Several are heard together
until there is a file where the argument says.
"""

import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from common.transcript import Language, Transcript
from services.transcriber.engine.ahead import Ahead
from services.transcriber.engine.channel import Channel
from services.transcriber.engine.heard import Heard, Span
from services.transcriber.engine.media import SAMPLE_RATE, Audio
from services.transcriber.engine.recording import Recording
from services.transcriber.engine.stages import Stages
from services.transcriber.engine.work import work
from services.transcriber.protocol import Ready, Transcribe

_LAST = threading.Event()


class Choir:
    """Hears nothing in anything."""

    def __init__(self, enough: Path) -> None:
        self._enough = enough

    def hear(self, recordings: Sequence[Recording]) -> list[Heard]:
        with ExitStack() as stack:
            for each in recordings:
                stack.enter_context(each.stages.stage("transcribe", together=len(recordings)))
            if len(recordings) == 1:
                _LAST.wait()
            while len(recordings) > 1 and not self._enough.exists():
                time.sleep(0.05)
        return [Heard((), "en", 1.0) for _ in recordings]

    def finish(self, recording: Recording, heard: Heard) -> Transcript:
        return Transcript("", Language(heard.language, 1.0), recording.audio.seconds, (), (), {}, {})


def main(enough: Path) -> None:
    channel = Channel.claim()

    def report(request: Transcribe) -> Stages:
        return Stages(request.id, channel.send, request.options, cancelled=lambda: request.id in channel.cancelled)

    channel.send(Ready("cpu", {"asr": "scripted"}, 0.0))
    work(Ahead(channel.requests, decode, find_speech, forget=channel.forget), Choir(enough), channel.send, report, copy)


def decode(_request: Transcribe) -> Audio:
    return Audio(np.zeros(SAMPLE_RATE, np.int16), damaged=False)


def find_speech(request: Transcribe, _audio: Audio) -> tuple[Span, ...]:
    if Path(request.source).name == "last":
        _LAST.set()
    return ()


def copy(*_asked: object, **_how: object) -> None:
    """Nothing is redacted."""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
