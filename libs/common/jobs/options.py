"""What a submitter may ask for. Frozen at submission: a retry runs with exactly these, whatever the defaults have become since."""

from collections.abc import Sequence
from types import NoneType
from typing import Annotated, Any, Literal, Union, get_args
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from common.jobs.languages import LANGUAGES, REDACTABLE
from common.references import lines as references
from common.references.lines import Lines, ReferenceDigest
from common.webhook import OwnForm

Priority = Literal["high", "normal", "low"]
PRIORITIES: tuple[Priority, ...] = ("high", "normal", "low")

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
_Url = Annotated[str, msgspec.Meta(max_length=2_000, pattern=r"^https?://[^\s/]+")]
_Presigned = Annotated[str, msgspec.Meta(max_length=8_000, pattern=r"^https?://[^\s/?#@\\]+/[^\s#]*$")]
_Speakers = Annotated[int, msgspec.Meta(ge=1, le=32)]

Sensitive = Literal["number", "email", "phone", "card", "iban"]
"""What redaction looks for."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`expires_in` is seconds from the end of the job to its expiry; `None` means the server's default, 0 nothing is kept after delivery.

    `vad_min_silence` and `vad_padding` are in seconds. `strict` fails a job of which a part cannot be done (speakers without a model that
    tells them apart), instead of leaving the part out and saying so in the transcript. What the lexicon held at submission is the job's own
    copy.
    `reference` is what somebody reads or goes through in the recording; a job's row keeps only what tells it from another (`stored`).
    `reuse` takes the result of an earlier job with the same recording and the same options, if there is one.
    """

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._/-]+$")] | None = None
    language: str | None = None
    allowed_languages: tuple[str, ...] = ()
    task: Literal["transcribe", "translate"] = "transcribe"
    diarize: bool = False
    min_speakers: _Speakers | None = None
    max_speakers: _Speakers | None = None
    channels: Literal["mix", "split", "auto"] = "mix"
    strict: bool = False
    prompt: _Text | None = None
    hotwords: _Text | None = None
    lexicon_id: UUID | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    beam_size: Annotated[int, msgspec.Meta(ge=1, le=10)] = 5
    align: bool = True
    vad: bool = True
    vad_threshold: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    vad_min_silence: Annotated[float, msgspec.Meta(ge=0, le=10)] | None = None
    vad_padding: Annotated[float, msgspec.Meta(ge=0, le=5)] | None = None
    mask_profanity: bool = False
    redact: tuple[Sensitive, ...] = ()
    topics: bool = False
    reference: Lines | ReferenceDigest = ()
    reuse: bool = False
    priority: Priority = "normal"
    webhook_url: _Url | None = None
    webhook_payload: OwnForm = "thin"
    upload_presigned_url: _Presigned | None = None
    expires_in: Annotated[int, msgspec.Meta(ge=0, le=31_536_000)] | None = None
    metadata: Annotated[dict[str, str], msgspec.Meta(max_length=50)] = {}

    def __post_init__(self) -> None:
        _check_languages("language", () if self.language is None else (self.language,))
        _check_languages("allowed_languages", self.allowed_languages)
        if self.language is not None and self.allowed_languages and self.language not in self.allowed_languages:
            raise ValueError("language is not among allowed_languages; give one of the two")
        if self.min_speakers is not None and self.max_speakers is not None and self.min_speakers > self.max_speakers:
            raise ValueError("min_speakers is more than max_speakers")
        if not self.diarize and (self.min_speakers is not None or self.max_speakers is not None):
            raise ValueError(f"{'max' if self.min_speakers is None else 'min'}_speakers needs diarize=true")
        sent = self.upload_presigned_url or ""
        if not (sent.isascii() and sent.isprintable()):
            raise ValueError("upload_presigned_url has characters in it that a URL spells in percents; it is sent as it is, byte for byte")
        if self.redact:
            self._check_redaction()
        if isinstance(self.reference, tuple):
            references.check(self.reference)

    def _check_redaction(self) -> None:
        if not self.align:
            raise ValueError("redact needs align=true: the recording is redacted by the times of words")
        if self.task != "transcribe":
            raise ValueError("redact needs task=transcribe: the words of a translation are not those that are heard in the recording")
        if self.language is not None and self.language not in REDACTABLE:
            raise ValueError(f"redact does not understand the language {self.language!r}; it knows {', '.join(REDACTABLE)}")


NAMES = tuple(field.name for field in msgspec.structs.fields(Options))

ASIDE = ("reuse", "priority", "webhook_url", "webhook_payload", "upload_presigned_url", "expires_in", "metadata")
"""Those that make no difference to the transcript."""


class OptionError(ValueError):
    """One option that cannot be accepted: its `field` and why; `allowed` are the values that it can have, where they are few."""

    def __init__(self, field: str, reason: str, allowed: Sequence[str] = ()) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
        self.allowed = allowed


def parse(values: dict[str, Any]) -> Options:
    """Options from form fields (strings) or JSON values; raises `OptionError` naming the first one that is wrong."""
    try:
        options = Options(**{name: convert(name, value) for name, value in values.items()})
    except OptionError:
        raise
    except ValueError as error:
        field, _, reason = str(error).partition(" ")
        raise OptionError(field, reason) from None
    _check_addresses(options)
    return options


def convert(name: str, value: Any) -> Any:
    """One of them by itself, whatever the others are; raises `OptionError`."""
    if name not in NAMES:
        raise OptionError(name, f"there is no such option; known are {', '.join(NAMES)}")
    if value is None and getattr(_DEFAULTS, name) is None:
        return None  # in JSON, the same as leaving it out
    converted = _parse_field(name, value)
    try:
        _check_languages(name, {"language": (converted,), "allowed_languages": converted}.get(name, ()))
        if name == "reference":
            references.check(converted)
    except ValueError as error:
        raise OptionError(name, str(error).removeprefix(f"{name} ")) from None
    return converted


def stored(options: Options) -> Options:
    """As the job's row has them: with the digest of a reference instead of its lines."""
    lines = options.reference
    return msgspec.structs.replace(options, reference=references.digest(lines)) if isinstance(lines, tuple) and lines else options


def _check_addresses(options: Options) -> None:
    """What needs an address to be sent to; no rule of `Options` itself, since documents show them without addresses."""
    for name in ("webhook_url", "upload_presigned_url"):
        if not _address(getattr(options, name)):
            raise OptionError(name, "it is not a URL that can be called; look at its host and port")
    if options.webhook_payload != "thin" and options.webhook_url is None:
        raise OptionError("webhook_payload", "it says what is sent to webhook_url; give that too")
    if options.expires_in == 0 and options.webhook_url is None and options.upload_presigned_url is None:
        raise OptionError(
            "expires_in", "0 keeps nothing after delivery, and there is nowhere to deliver to; give webhook_url or upload_presigned_url"
        )


def _address(url: str | None) -> bool:
    """Whether it can be taken apart, as whoever shows or calls it will."""
    try:
        parts = urlsplit(url or "https://localhost/")
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def without_null(kind: Any) -> Any:
    """A field's type without the null that stands for leaving it out: a client's text "null" is a text."""
    choices = [choice for choice in get_args(kind) if choice is not NoneType]
    return Union[*choices] if NoneType in get_args(kind) else kind


def complaint(error: msgspec.DecodeError, kind: Any) -> tuple[str, list[str]]:
    """What is wrong with a value that is no `kind`; if that is a choice, also what can be chosen."""
    reason = str(error)
    if not reason.startswith("Invalid enum value"):
        return reason, []
    choices = _choices(msgspec.inspect.type_info(kind))
    return f"{reason}; choose from {', '.join(choices)}", choices


def _choices(kind: msgspec.inspect.Type) -> list[str]:
    match kind:
        case msgspec.inspect.EnumType(cls=found):
            return [member.value for member in found]
        case msgspec.inspect.LiteralType(values=values):
            return [str(value) for value in values]
        case msgspec.inspect.Metadata(type=inner) | msgspec.inspect.VarTupleType(item_type=inner):
            return _choices(inner)
        case msgspec.inspect.UnionType(types=types):
            return [choice for each in types for choice in _choices(each)]
        case _:
            return []


def storable(value: Any) -> bool:
    """Postgres keeps every text but one with a NUL in it."""
    match value:
        case str():
            return "\0" not in value
        case dict():
            return all(storable(each) for each in (*value, *value.values()))
        case list():
            return all(storable(each) for each in value)
        case _:
            return True


def _check_languages(name: str, codes: tuple[str, ...]) -> None:
    for code in codes:
        if code not in LANGUAGES:
            raise ValueError(f"{name} has {code!r}, which is not one of Whisper's ISO 639-1 codes, such as 'en' or 'de'")


def _parse_field(name: str, value: Any) -> Any:
    kind = _TYPES[name]
    if kind is bool and isinstance(value, str):
        value = _SWITCHES.get(value.lower(), value)
    try:
        if name == "metadata" and isinstance(value, str):
            value = msgspec.json.decode(value, type=dict[str, str])
        if name in _LISTS and isinstance(value, str):
            value = [each.strip() for each in value.split(",") if each.strip()]
        if name == "reference":
            value = references.parse(value)
        if not storable(value):
            raise OptionError(name, "it has a NUL character in it; leave it out")
        return msgspec.convert(value, kind, strict=name == "reference")
    except msgspec.DecodeError as error:
        raise OptionError(name, *complaint(error, kind)) from None
    except RecursionError:
        raise OptionError(name, "it is nested too deeply") from None


_SWITCHES = {"on": True, "off": False}
"""What else a text says yes and no with."""

_LISTS = ("allowed_languages", "redact")
"""Comma-separated where a form gives them."""

_DEFAULTS = Options()
_TYPES = {field.name: without_null(field.type) for field in msgspec.structs.fields(Options)} | {"reference": Lines}
