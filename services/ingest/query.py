"""Query strings as frozen structs: every name is known or refused, every value checked, and the OpenAPI document says the same.

What is wrong with a parameter is a 422 `invalid_option` whose `field` is its name.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, TypeVar, get_args

import msgspec
from litestar import Request
from litestar.openapi.spec import Parameter, Schema
from litestar.openapi.spec.enums import OpenAPIType

from common.jobs.options import OptionError, complaint, without_null
from services.ingest.problems import Problem, invalid_option

T = TypeVar("T", bound=msgspec.Struct)
Moment = Annotated[datetime, msgspec.Meta(tz=True, description="RFC 3339, with its zone; exclusive")]

_METADATA = "metadata."
_MAX_METADATA = 10
METADATA = Parameter(
    name="metadata.{key}",
    param_in="query",
    required=False,
    description=f"Jobs that were submitted with this value under the key; up to {_MAX_METADATA} keys, all of which must match",
    schema=Schema(type=OpenAPIType.STRING),
)
"""How the parameters whose names are the client's appear in the OpenAPI document."""

_SCHEMA_NAMES = {
    "additionalProperties": "additional_properties",
    "exclusiveMaximum": "exclusive_maximum",
    "exclusiveMinimum": "exclusive_minimum",
    "maxItems": "max_items",
    "maxLength": "max_length",
    "maxProperties": "max_properties",
    "minItems": "min_items",
    "minLength": "min_length",
}


def asked(request: Request[Any, Any, Any], kind: type[T]) -> T:
    """What the request asks for, of which a `kind` is all that there may be. Raises `Problem`."""
    return parse(values(request), kind)


def values(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The query's parameters, none of which may come twice."""
    found: dict[str, str] = {}
    if not request.scope["query_string"]:
        return found
    for name, value in request.query_params.multi_items():
        if name in found:
            raise invalid(name, "it is there twice")
        if "\0" in name or "\0" in value:
            raise invalid(name.replace("\0", ""), "it has a NUL character in it; leave it out")
        found[name] = value
    return found


def with_metadata(found: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The parameters with names of ours, and those of `metadata.<key>` by their keys. Raises `Problem`."""
    metadata = {name.removeprefix(_METADATA): value for name, value in found.items() if name.startswith(_METADATA)}
    if len(metadata) > _MAX_METADATA:
        raise invalid("metadata", f"there are more than {_MAX_METADATA} keys")
    return {name: value for name, value in found.items() if not name.startswith(_METADATA)}, metadata


def parse(found: Mapping[str, str], kind: type[T], *, others: Iterable[str] = ()) -> T:
    """A `kind` from parameters. `others` are names that are known too, for the message. Raises `Problem`."""
    fields = _fields(kind)
    converted: dict[str, Any] = {}
    for name, text in found.items():
        if name not in fields:
            raise invalid(name, f"there is no such parameter; known are {', '.join((*others, *fields))}")
        converted[name] = convert(name, text, fields[name].type)
    for name, field in fields.items():
        if field.required and name not in converted:
            raise invalid(name, "it is required")
    try:
        return kind(**converted)
    except ValueError as error:
        raise invalid(str(error).split()[0], str(error)) from None


@cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.name: field for field in msgspec.structs.fields(kind)}


def convert(name: str, text: str, kind: Any) -> Any:
    """One value. Raises `Problem`."""
    kind = without_null(kind)
    moment = kind is datetime or datetime in get_args(kind)  # of which a number would be one too
    try:
        return dated(name, msgspec.convert(text, kind, strict=moment))
    except msgspec.ValidationError as error:
        raise invalid(name, *complaint(error, kind)) from None


def dated(name: str, value: Any) -> Any:
    """`value`; a moment in UTC, in which the first and the last day of the calendar are not in every zone. Raises `Problem`."""
    try:
        return value.astimezone(UTC) if isinstance(value, datetime) else value
    except OverflowError:
        raise invalid(name, "it is before the year 1 or after the year 9999 in UTC") from None


def invalid(name: str, reason: str, allowed: Sequence[str] = ()) -> Problem:
    """422."""
    return invalid_option(OptionError(name, reason, allowed))


def parameters(kind: type[msgspec.Struct]) -> list[Parameter]:
    """How the fields of `kind` appear in the OpenAPI document."""
    return [parameter(field.name, field.type, default=field.default, required=field.required) for field in msgspec.structs.fields(kind)]


def parameter(name: str, kind: Any, *, default: Any = None, required: bool = False) -> Parameter:
    """One of them."""
    described = schema(kind, default=default)
    description, described.description = described.description, None
    return Parameter(name=name, param_in="query", required=required, description=description, schema=described)


def schema(kind: Any, *, default: Any = None, null: bool = False) -> Schema:
    """A field's type as the OpenAPI document has it; with `null`, that too stands for leaving it out."""
    whole = msgspec.json.schema(kind)
    described = _as_schema(_inlined(whole, whole.get("$defs", {})))
    if default is not None and default is not msgspec.NODEFAULT:
        described.default = msgspec.to_builtins(default)
    if null and default is None and isinstance(described.type, str):
        described.type = [OpenAPIType(described.type), OpenAPIType.NULL]
        described.enum = None if described.enum is None else [*described.enum, None]
    return described


def _as_schema(found: dict[str, Any]) -> Schema:
    members = {_SCHEMA_NAMES.get(key, key): value for key, value in found.items() if key != "title"}
    for name in ("items", "additional_properties"):
        if isinstance(members.get(name), dict):
            members[name] = _as_schema(members[name])
    if "properties" in members:
        members["properties"] = {name: _as_schema(member) for name, member in members["properties"].items()}
    return Schema(**members)


def _inlined(found: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Without references, and without the null that stands for a parameter that is left out."""
    outer = {key: value for key, value in found.items() if key not in {"anyOf", "$ref", "$defs"}}
    if isinstance(outer.get("items"), dict):
        outer["items"] = _inlined(outer["items"], definitions)
    if "$ref" in found:
        return outer | _inlined(definitions[found["$ref"].rpartition("/")[2]], definitions)
    for choice in found.get("anyOf", ()):
        if choice != {"type": "null"}:
            return outer | _inlined(choice, definitions)
    return outer
