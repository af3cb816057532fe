"""What the engine and the process that copies say to each other, one JSON object a line."""

import msgspec

from common.transcript import Redaction
from services.transcriber.engine.decoder.messages import Exhausted, Refused


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What `copying.copy_redacted` is to do, with no more than `memory` bytes and `limit` seconds of CPU."""

    source: str
    output: str
    redactions: tuple[Redaction, ...]
    seconds: float
    language: str | None
    memory: int
    limit: float


class Progress(msgspec.Struct, frozen=True, tag="progress", tag_field="type"):
    """So much of it is done, from 0 to 1."""

    fraction: float


class Copied(msgspec.Struct, frozen=True, tag="copied", tag_field="type"):
    """It is done."""


Answer = Progress | Copied | Refused | Exhausted

encode = msgspec.json.Encoder().encode
decode_order = msgspec.json.Decoder(Order).decode
_answers: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


def decode_answer(line: bytes) -> Answer:
    """Raises `msgspec.DecodeError` for what is none."""
    return _answers.decode(line)
