"""`python -m services.transcriber.clips`: reads an order, writes the zip to stdout as it is made, so that neither is ever held whole."""

import os
import shutil
import sys
import zipfile
from pathlib import Path
from typing import IO, Any, NoReturn

import msgspec

from common import rendering, transcript
from common.archives import By
from common.errors import PermanentError, VerbatimError
from common.jobs.job import Failure
from common.rendering.layout import Layout
from common.transcript import Transcript
from services.transcriber import confinement
from services.transcriber.clips import order
from services.transcriber.clips.cutting import cut
from services.transcriber.clips.order import Order
from services.transcriber.clips.plan import plan
from services.transcriber.limits import decoder_overrun

_NICE = 10
"""The engine works beside us, and goes first."""

_WHEN = (1980, 1, 1, 0, 0, 0)

_NOTHING: dict[By, str] = {
    "segment": "Nothing is said in the recording, so there is nothing to cut.",
    "speaker": "Nobody speaks in the recording, so there is nothing to cut.",
    "line": "No line of the reference was found in the recording, so there is nothing to cut.",
}


def main() -> None:
    os.nice(_NICE)
    asked = order.decode(sys.stdin.buffer.readline())
    confinement.end_with(sys.stdin.fileno())
    confinement.bound_memory(asked.memory)
    confinement.bound_time(asked.seconds)
    try:
        archive(asked, sys.stdout.buffer)
    except BrokenPipeError:
        os._exit(1)  # the parent is gone, and what is buffered has nowhere to go
    except MemoryError:
        _fail(asked, decoder_overrun(asked.memory))
    except VerbatimError as error:
        _fail(asked, error)


def _fail(asked: Order, error: VerbatimError) -> NoReturn:
    Path(asked.failure).write_bytes(order.encode(Failure(error.code, error.message, retryable=error.transient)))
    sys.exit(1)


def archive(asked: Order, output: IO[bytes]) -> None:
    """Write the zip. Clips are compressed already, and stored as they are. Raises `VerbatimError`."""
    document = transcript.decode(Path(asked.transcript).read_bytes())
    clips = plan(document, asked.cut.by, asked.cut.format)
    nothing = PermanentError("nothing_to_cut", _NOTHING[asked.cut.by])
    if not clips:
        raise nothing
    made: list[dict[str, Any]] = []
    with zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as zipped:
        for kind in ("srt", "vtt"):
            _add(zipped, f"transcript.{kind}", rendering.render(document, kind, Layout(), rendering.Origin()))
        _add(zipped, "transcript.json", transcript.encode(document))
        for clip, seconds, file in cut(Path(asked.source), clips, asked.cut.format, asked.language):
            made.append({**msgspec.to_builtins(clip), "seconds": round(seconds, 3)})
            with zipped.open(zipfile.ZipInfo(clip.file, _WHEN), "w") as member:
                shutil.copyfileobj(file, member)
        if not made:  # all of them lie beyond the recording's end
            raise nothing
        _add(zipped, "metadata.json", msgspec.json.format(msgspec.json.encode(_metadata(asked, document, made))))


def _metadata(asked: Order, document: Transcript, made: list[dict[str, Any]]) -> dict[str, Any]:
    """What is in the archive; a clip's `seconds` are as cut."""
    reference = document.reference if asked.cut.by == "line" else None
    return {
        "job_id": asked.job_id,
        "by": asked.cut.by,
        "format": asked.cut.format,
        "language": document.language,
        "duration": document.duration,
        "speakers": document.speakers,
        "clips": sorted(made, key=lambda clip: str(clip["file"])),
        **({} if reference is None else {"diagnostics": reference.diagnostics}),
    }


def _add(zipped: zipfile.ZipFile, name: str, data: bytes) -> None:
    zipped.writestr(zipfile.ZipInfo(name, _WHEN), data, zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main()
