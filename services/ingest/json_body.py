"""JSON bodies: read within a bound, and every member known and valid, or a `Problem` that names it."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeVar

import msgspec

from common.jobs.options import complaint, storable
from services.ingest import query
from services.ingest.problems import Problem, too_large

T = TypeVar("T", bound=msgspec.Struct)

MEDIA_TYPE = "application/json"
_BODY_BYTES = 256 * 2**10
_DEPTH = 32  # more than anything that is asked for has, and less than Python's stack


async def read(chunks: AsyncIterator[bytes], limit: int = _BODY_BYTES, *, optional: bool = False) -> dict[str, Any]:
    """The object that a body is; an empty one if it is `optional` and was left out."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise too_large(limit)
    if optional and not body:
        return {}
    try:
        values: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
        return {name: _numbered(value, _DEPTH) for name, value in values.items()}
    except RecursionError:
        raise _malformed("it is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _malformed(str(error)) from None


def _malformed(reason: str) -> Problem:
    return Problem(400, "malformed_json", f"The body is not a JSON object: {reason}.")


def _numbered(value: Any, depth: int) -> Any:
    """JSON has one kind of number: 3.0 is as good an integer as 3."""
    if not depth:
        raise RecursionError
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [_numbered(each, depth - 1) for each in value]
        case dict():
            return {name: _numbered(each, depth - 1) for name, each in value.items()}
        case _:
            return value


def parse(values: Mapping[str, Any], kind: type[T]) -> T:
    """A `kind` from an object's members."""
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    converted: dict[str, Any] = {}
    for name, value in values.items():
        if name not in fields:
            raise query.invalid(name.replace("\0", ""), f"there is no such member; known are {', '.join(fields)}")
        if not storable(value):
            raise query.invalid(name, "it has a NUL character in it; leave it out")
        try:
            converted[name] = query.dated(name, msgspec.convert(value, fields[name].type))
        except msgspec.ValidationError as error:
            raise query.invalid(name, *complaint(error, fields[name].type)) from None
    for name, field in fields.items():
        if field.required and name not in converted:
            raise query.invalid(name, "it is required")
    return kind(**converted)
