"""What a call asks for: OpenAI's form, and with it the native options, whose names are others, and those of another service at this path.

Nothing is accepted that has no effect.
"""

from typing import Any, Literal, get_args

import msgspec

from common.jobs.languages import CODES
from common.jobs.options import NAMES, Options
from services.ingest import form
from services.ingest.compat.whisperx_server import Wishes
from services.ingest.openai.models import Models
from services.ingest.problems import Problem
from services.ingest.query import invalid

Task = Literal["transcribe", "translate"]
Format = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]
Granularity = Literal["word", "segment"]

_STREAMED: tuple[Format, ...] = ("json", "text", "diarized_json")
_PROMPT = 2_000
_LISTS = ("timestamp_granularities", "include", "keywords", "languages")
_UNKNOWN_SPEAKERS = ("known_speaker_names", "known_speaker_references")
_CHUNKING = "chunking_strategy"
_THEIRS = {"allowed_languages": "languages", "hotwords": "keywords"} | dict.fromkeys(
    ("vad_threshold", "vad_min_silence", "vad_padding"), _CHUNKING
)
"""What a refusal calls options that are called otherwise here."""

_NATIVE = frozenset(NAMES) - {"task"}


class _Vad(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`chunking_strategy` as an object."""

    type: Literal["server_vad"]
    prefix_padding_ms: int | None = None
    silence_duration_ms: int | None = None
    threshold: float | None = None


class Asked:
    """The fields of one request."""

    files = ("file",)

    def __init__(self, task: Task, models: Models) -> None:
        self.task = task
        self.format: Format = "json"
        self.stream = False
        self.earlier = Wishes()
        self._models = models
        self._seen: set[str] = set()
        self._lists: dict[str, list[str]] = {}
        self._vad: dict[str, Any] = {}
        self._options: dict[str, Any] = {}

    @property
    def granularities(self) -> frozenset[Granularity]:
        """Of `verbose_json`."""
        asked = self._lists.get("timestamp_granularities", ())
        return frozenset(each for each in get_args(Granularity) if each in asked) or frozenset({"segment"})

    @property
    def logprobs(self) -> bool:
        """Of `json`."""
        return "include" in self._lists

    @property
    def plain(self) -> bool:
        """Whether only OpenAI's API would have been asked like this."""
        return not self.earlier.given or "response_format" in self._seen

    def file(self, name: str, filename: str) -> None:
        """Its bytes tell what it is."""

    def add(self, name: str, text: str) -> None:
        base = name.removesuffix("[]")
        if base in _LISTS:
            self._lists.setdefault(base, []).append(_checked(base, text))
            return
        if base in self._seen:
            raise form.duplicate(base)
        self._seen.add(base)
        values = self._values(base, text)
        for option, value in values.items():
            form.check(option, value)
            self._options[option] = value

    def options(self) -> Options:
        self._check()
        if self._vad:
            self._options |= _vad(self._vad)
        if keywords := self._lists.get("keywords"):
            self._options["hotwords"] = ", ".join(keywords)
        if languages := self._lists.get("languages"):
            self._options["allowed_languages"] = [_code(language) for language in languages]
        if self.format == "diarized_json":
            self._options["diarize"] = True
        try:
            return form.options_of({"task": self.task, **self._options})
        except Problem as problem:
            field = problem.extra["field"]
            if field not in self._seen:
                problem.extra["field"] = _THEIRS.get(field, field)
            raise

    def _values(self, name: str, text: str) -> dict[str, Any]:  # noqa: PLR0911 - a line each
        """The options that follow from a field by itself."""
        if name in self.earlier.names:
            return self.earlier.add(name, text)
        match name:
            case "model":
                model = self._models.resolve(text)
                return {} if model is None else {"model": model}
            case "language":
                return {"language": _code(text)} if text.strip() else {}
            case "prompt":
                return {"prompt": text[-_PROMPT:]} if text.strip() else {}
            case "response_format":
                self.format = self._format(text)
                return {}
            case "stream":
                self.stream = _flag(name, text)
                return {}
            case str() if name == _CHUNKING or name.startswith(f"{_CHUNKING}["):
                self._vad |= _chunking(name, text)
                return {}
            case str() if name in _UNKNOWN_SPEAKERS:
                raise Problem(
                    400, "unsupported_parameter", f"{name}: speakers are told apart here, and not known by name; leave it out.", field=name
                )
            case str() if name in _NATIVE:
                return {name: text}
        raise Problem(400, "unknown_parameter", f"Unrecognized request argument supplied: {name}", field=name)

    def _format(self, text: str) -> Format:
        known: tuple[Format, ...] = get_args(Format)
        known = tuple(each for each in known if each != "diarized_json") if self.task == "translate" else known
        for each in known:
            if text == each:
                return each
        raise invalid("response_format", f"it is one of {', '.join(known)}")

    def _check(self) -> None:
        if "timestamp_granularities" in self._lists and self.format != "verbose_json":
            raise invalid("timestamp_granularities", "it needs response_format=verbose_json")
        if self.logprobs and self.format != "json":
            raise invalid("include", "logprobs need response_format=json")
        if self.stream and self.format not in _STREAMED:
            raise invalid("stream", f"text is streamed; response_format is one of {', '.join(_STREAMED)} then")
        if self.earlier.detached and (self.stream or "response_format" in self._seen):
            raise invalid("stored_output", "the answer is the job's id, so there is nothing to stream or to format")


def _checked(name: str, text: str) -> str:
    """One of several values."""
    choices = {"timestamp_granularities": get_args(Granularity), "include": ("logprobs",)}.get(name)
    if choices is not None and text not in choices:
        raise invalid(name, f"it is {' or '.join(choices)}")
    return text


def _code(language: str) -> str:
    """As ISO 639-1, or as OpenAI names languages in its answers."""
    lower = language.strip().lower()
    return CODES.get(lower, lower)


def _flag(name: str, text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise invalid(name, "it is true or false")
    return text.lower() == "true"


def _chunking(name: str, text: str) -> dict[str, Any]:
    """`auto`, an object in JSON, or its members in fields of their own, as the clients send them."""
    if name != _CHUNKING:
        return {name.removeprefix(f"{_CHUNKING}[").removesuffix("]"): text}
    if text == "auto":
        return {}
    try:
        return {
            member: value for member, value in msgspec.structs.asdict(msgspec.json.decode(text, type=_Vad)).items() if value is not None
        }
    except msgspec.DecodeError:
        raise invalid(name, "it is auto or an object whose type is server_vad") from None


def _vad(members: dict[str, Any]) -> dict[str, Any]:
    try:
        vad = msgspec.convert(members, _Vad, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(_CHUNKING, str(error)) from None
    wanted = {
        "vad_threshold": vad.threshold,
        "vad_min_silence": _seconds(vad.silence_duration_ms),
        "vad_padding": _seconds(vad.prefix_padding_ms),
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1_000
