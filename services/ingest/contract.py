"""The OpenAPI document made whole: what holds for every operation is said once, here, of whatever operations there are.

Refusals are problems with a media type of their own, an example each, and the headers that tell when to try again; every answer and every
body of an event that webhooks send has an example. A handler that says nothing of it still cannot be documented wrongly.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import OpenAPI

from services.ingest import examples
from services.ingest.problem_examples import refusal
from services.ingest.problems import MEDIA_TYPE
from services.ingest.webhooks.openapi import webhooks

_PROBLEM = {"$ref": "#/components/schemas/ProblemDocument"}
_TEXT: dict[str, Any] = {"type": "string"}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "integer"}, "example": 5}}
_ETAG = {"ETag": {"description": "Send it back as If-None-Match: 304 when nothing has changed.", "schema": _TEXT, "example": '"b1946ac9"'}}
_AUTHENTICATE = {"WWW-Authenticate": {"description": "How to say who you are.", "schema": _TEXT, "example": "Bearer"}}

_HEADERS = {202: _RETRY_AFTER, 401: _AUTHENTICATE, 423: _RETRY_AFTER, 429: _RETRY_AFTER, 503: _RETRY_AFTER}
_STRUCTS: dict[str, Any] = {
    "JobDocument": examples.EVENTS["job.created"],
    "LexiconDocument": examples.LEXICON,
    "LexiconList": examples.LEXICON_LIST,
    "CleanupDocument": examples.CLEANUP,
    "LetterDocument": examples.DEAD_LETTER,
    "LetterPage": {"dead_letters": [examples.DEAD_LETTER], "next_cursor": None},
    "StorageDocument": examples.STORAGE,
    "Receipt": examples.RECEIPT,
    "Resumed": {"requeued": 12, "rescued": 1, "audio_gone": 0, "more": False},
    "Cleared": {"deleted": 15, "cancelled": 0, "objects": 30, "failed": 0, "more": False},
    "KeyDocument": examples.KEY,
    "NewKey": examples.KEY | {"key": "vb_3pX0Zk1sQm8wTnB5yH2cLr7vAe9dJf4gUi6oKx0Mzq1"},
    "KeyPage": {"keys": [examples.KEY], "next_cursor": None},
    "WebhookDocument": examples.WEBHOOK,
    "NewWebhook": examples.NEW_WEBHOOK,
    "WebhookList": {"webhooks": [examples.WEBHOOK]},
    "SecretDocument": examples.ROTATED,
    "SecretStatus": {name: examples.ROTATED[name] for name in ("created_at", "previous_until")},
    "DeliveryDocument": examples.DELIVERY,
    "Deliveries": {"deliveries": [examples.DELIVERY]},
    "DeliveryPage": {"deliveries": [examples.DELIVERY], "next_cursor": None},
    "Replayed": {"replayed": 12, "next_since": None},
    "JobPage": {"jobs": [examples.COMPLETED], "next_cursor": None},
}
_MADE = {"lexicons": examples.LEXICON_ID, "webhooks": examples.ENDPOINT_ID}
_BY_FORMAT = {
    "date-time": "2026-03-02T09:30:00.120394Z",
    "uuid": examples.JOB_ID,
    "uri": "https://example.com/hooks/verbatim",
}
_EVENT_STREAM = (
    f"retry: 2000\n\nid: 7\nevent: progress\ndata: {msgspec.json.encode(examples.CHANGE).decode()}\n\n"
    f"event: segment\ndata: {msgspec.json.encode(examples.PARTIAL).decode()}\n\n"
)


class Contract(OpenAPIConfig):
    """A configuration whose document is completed when it is first asked for."""

    def to_openapi_schema(self) -> OpenAPI:
        found = super().to_openapi_schema()
        return _Document(**{name: getattr(found, name) for name in found.__dataclass_fields__})


class _Document(OpenAPI):
    def to_schema(self) -> dict[str, Any]:
        return complete(super().to_schema())


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """`document` itself, with what the module says."""
    schemas = document["components"]["schemas"]
    for path, operation in _operations(document):
        for status, response in operation["responses"].items():
            _describe(path, int(status), response, schemas)
            if status == "200" and "304" in operation["responses"]:
                response["headers"] = _ETAG | response.get("headers", {})
    document["webhooks"] = webhooks()
    return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        yield from ((path, operation) for method, operation in item.items() if method in {"get", "post", "put", "patch", "delete", "head"})


def _describe(path: str, status: int, response: dict[str, Any], schemas: dict[str, Any]) -> None:
    content = response.get("content", {})
    told = any("examples" in media for media in content.values())  # a document with an example of its own, whatever the status
    refused = not told and (status >= 400 or any(media.get("schema") == _PROBLEM for media in content.values()))
    headers = response.get("headers", {})
    if status in {204, 302, 304}:
        response.pop("content", None)
    elif refused:
        example = refusal(path, status)
        response["content"] = {MEDIA_TYPE: {"schema": _PROBLEM, "example": example}}
        headers = _HEADERS.get(status, {}) | headers
    else:
        for kind, media in content.items():
            if not {"example", "examples"} & media.keys():
                media["example"] = _EVENT_STREAM if kind == "text/event-stream" else _example(media.get("schema", {}), schemas)
        if status in {201, 202} and "{" not in path:
            headers = _location(path) | headers
    if headers:
        response["headers"] = headers


def _location(path: str) -> dict[str, Any]:
    """Where what was made is to be found."""
    made = _MADE.get(path.rpartition("/")[2], examples.JOB_ID)
    return {"Location": {"description": "What was made.", "schema": _TEXT, "example": f"{path}/{made}"}}


def _example(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """Something that fits the schema: what is known of its kind, what it gives itself, or the simplest thing of its type."""
    name = schema.get("$ref", "").rpartition("/")[2]
    if name:
        return _STRUCTS[name] if name in _STRUCTS else _example(schemas[name], schemas)
    given = [schema[key] for key in ("example", "const", "default") if key in schema]
    given += [value for key in ("examples", "enum") for value in schema.get(key, [])]
    if given:
        return given[0]
    for alternatives in ("oneOf", "anyOf", "allOf"):
        if alternatives in schema:
            return _example(schema[alternatives][0], schemas)
    kind = schema.get("type")
    return _simplest(kind[0] if isinstance(kind, list) else kind, schema, schemas)


def _simplest(kind: str | None, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    match kind:
        case "object":
            return {name: _example(member, schemas) for name, member in schema.get("properties", {}).items()}
        case "array":
            return [_example(schema.get("items", {}), schemas)]
        case "string":
            return _BY_FORMAT.get(schema.get("format", ""), "text")
        case "integer" | "number":
            return schema.get("minimum", 1)
        case _:
            return True if kind == "boolean" else None
