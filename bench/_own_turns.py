"""Who speaks when, as the engine hears it before words are attributed: `python -m bench._own_turns FILE` prints start, end and speaker.

A transcript tells who said which word; error rates are of turns.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from pathlib import Path

from common.settings import load
from services.transcriber import protocol
from services.transcriber.engine.settings import EngineSettings


async def own_turns(path: Path, environ: Mapping[str, str]) -> list[tuple[float, float, str]]:
    """In a process of its own, which reads the engine's settings from `environ`."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench._own_turns", str(path), stdout=PIPE, env=environ)
    output, _ = await process.communicate()
    return [(start, end, speaker) for start, end, speaker in json.loads(output.splitlines()[-1])]


def _main(path: Path) -> None:
    settings = load(EngineSettings, os.environ)
    from services.transcriber.engine.diarization.speech_turns import SpeechTurns, loader  # noqa: PLC0415 - after the environment
    from services.transcriber.engine.hardware import choose, prepare_environment  # noqa: PLC0415

    prepare_environment(settings, os.environ)
    from services.transcriber.engine.media import decode  # noqa: PLC0415
    from services.transcriber.engine.recording import Recording  # noqa: PLC0415
    from services.transcriber.engine.shelf import Shelf  # noqa: PLC0415
    from services.transcriber.engine.speech import find_speech  # noqa: PLC0415
    from services.transcriber.engine.stages import Stages  # noqa: PLC0415

    audio = decode(path)
    options = protocol.Options(diarize=True, strict=True)
    stages = Stages("turns", lambda _event: None, options)
    speech = tuple(find_speech(audio.samples, lambda _fraction: None))
    told = SpeechTurns(Shelf(), loader(settings, choose(settings, 0))).tell(Recording(audio, speech, options, stages))
    print(json.dumps([[turn.start, turn.end, turn.speaker] for turn in told.turns]))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
