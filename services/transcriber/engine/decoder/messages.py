"""What the engine and its decoder say to each other, one JSON object a line. Never anything that is executed, as pickles are."""

import msgspec

from services.transcriber.engine import failures
from services.transcriber.engine.gathered import Channels, Gathered


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """Decode `source`; its lanes go to `folder`, as 16-bit samples in files named by `lane`. No more than `seconds` of CPU."""

    source: str
    channels: Channels
    language: str | None
    folder: str
    seconds: float


class Told(Gathered, frozen=True, tag="told", tag_field="type"):
    """It is done."""


class Refused(msgspec.Struct, frozen=True, tag="refused", tag_field="type"):
    """It cannot be done; as in `protocol.Failed`."""

    code: str
    message: str
    transient: bool


class Exhausted(msgspec.Struct, frozen=True, tag="exhausted", tag_field="type"):
    """It takes more memory than there may be."""


Answer = Told | Refused | Exhausted

encode = msgspec.json.Encoder().encode
decode_ask = msgspec.json.Decoder(Ask).decode
_answers: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


def ending(error: Exception) -> Refused | Exhausted:
    """What a process answers that could not do it, whatever the reason is."""
    if isinstance(error, MemoryError):
        return Exhausted()
    failed = failures.describe("", error)
    return Refused(failed.code, failed.message, failed.transient)


def decode_answer(line: bytes) -> Answer:
    """Raises `msgspec.DecodeError` for what is none."""
    return _answers.decode(line)


def lane(number: int) -> str:
    """A lane's file."""
    return f"lane-{number}"
