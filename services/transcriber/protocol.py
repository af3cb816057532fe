"""What the transcriber's parent and its engine child say to each other: one JSON object a line.

Requests go down the child's stdin, events come up its stdout. Audio, transcripts and checkpoints travel as files, never through the pipe.
The child takes requests up in their order, short ones several at a time; end of stdin means that the parent is gone, and it exits at once.
"""

from typing import Literal

import msgspec

from common.jobs.kind import Kind
from common.jobs.options import Sensitive
from common.jobs.partials import PartialSegment
from common.lexicons.entries import Correction
from common.references.lines import Line

DEVICE_FAILED = "device_failed"
"""The code of what failed because the accelerator did."""

EXIT_DEVICE = 70
"""The child's exit status then: only a new process can use it again."""

Stage = Literal["fetch", "decode", "vad", "transcribe", "align", "diarize", "postprocess", "redact", "store"]


class Options(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How to transcribe: the engine's part of a job's options, frozen at submission."""

    model: str | None = None
    language: str | None = None
    allowed_languages: tuple[str, ...] = ()
    task: Literal["transcribe", "translate"] = "transcribe"
    diarize: bool = False
    min_speakers: int | None = None
    max_speakers: int | None = None
    channels: Literal["mix", "split", "auto"] = "mix"
    strict: bool = False
    prompt: str | None = None
    hotwords: str | None = None
    corrections: tuple[Correction, ...] = ()
    temperature: float = 0.0
    beam_size: int = 5
    align: bool = True
    vad: bool = True
    vad_threshold: float | None = None
    vad_min_silence: float | None = None
    vad_padding: float | None = None
    mask_profanity: bool = False
    redact: tuple[Sensitive, ...] = ()
    topics: bool = False
    reference: tuple[Line, ...] = ()


class Transcribe(msgspec.Struct, frozen=True, tag="transcribe", tag_field="type"):
    """Transcribe the media file at `source`, whose digest is `sha256`; write the transcript JSON to `output`.

    If the options ask for redaction, write the recording's redacted copy to `audio`. `checkpoints` is a folder: what is in it, as
    `{stage}.json`, need not be done again, and what is done is written there for a later attempt. None: nothing of this request may outlast
    it but what it produces. With `alone` it is heard with no other request.
    """

    id: str
    source: str
    output: str
    options: Options
    audio: str | None = None
    sha256: str = ""
    checkpoints: str | None = None
    alone: bool = False


class Cancel(msgspec.Struct, frozen=True, tag="cancel", tag_field="type"):
    """Nobody waits for this request any more: let go of it where that can be done, and answer it. The parent does not wait for long."""

    id: str


class Ready(msgspec.Struct, frozen=True, tag="ready", tag_field="type"):
    """Models are loaded; `seconds` since the child started."""

    device: str
    models: dict[str, str]
    seconds: float


class Started(msgspec.Struct, frozen=True, tag="started", tag_field="type"):
    """The engine took this request up; its time limit counts from here."""

    id: str


class Decoded(msgspec.Struct, frozen=True, tag="decoded", tag_field="type"):
    """The recording is `seconds` long, on which the limits of the stages that follow depend, and of this `kind`."""

    id: str
    seconds: float
    kind: Kind


class Progress(msgspec.Struct, frozen=True, tag="progress", tag_field="type"):
    """`percent` of the whole request, 0-100, never falling."""

    id: str
    stage: Stage
    percent: float


class Waits(msgspec.Struct, frozen=True, tag="waits", tag_field="type"):
    """The request waits until another one is finished; no limit counts until its next stage."""

    id: str


class Partial(msgspec.Struct, frozen=True, tag="partial", tag_field="type"):
    """What has been heard of one stretch, before the transcript is complete; never of a request with anything to redact or mask.

    In no order that can be relied on, and not at all for what an earlier attempt has heard.
    """

    id: str
    segment: PartialSegment


class StageDone(msgspec.Struct, frozen=True, tag="stage", tag_field="type"):
    """One stage's wall-clock span, in Unix nanoseconds (becomes a span of the job's trace), of so many requests `together`."""

    id: str
    stage: Stage
    start_ns: int
    end_ns: int
    together: int = 1


class Checkpointed(msgspec.Struct, frozen=True, tag="checkpoint", tag_field="type"):
    """What `stage` came to is complete in the request's `checkpoints`."""

    id: str
    stage: Stage


class Done(msgspec.Struct, frozen=True, tag="done", tag_field="type"):
    """The transcript is complete at the request's `output`."""

    id: str
    language: str
    duration: float
    speakers: int


class Failed(msgspec.Struct, frozen=True, tag="failed", tag_field="type"):
    """A request failed; the child lives on and takes the next one."""

    id: str
    code: str
    message: str
    transient: bool


Request = Transcribe | Cancel
Event = Ready | Started | Decoded | Progress | Waits | Partial | StageDone | Checkpointed | Done | Failed

encode = msgspec.json.Encoder().encode
decode_request = msgspec.json.Decoder(Request).decode
decode_event = msgspec.json.Decoder(Event).decode
