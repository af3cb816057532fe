"""The OpenAPI document made whole: what holds for every operation is said once, here, of whatever operations there are.

Refusals are problems with a media type of their own, an example each, and the headers that tell when to try again; every answer and every
body of an event that webhooks send has an example. A handler that says nothing of it still cannot be documented wrongly.
"""

from collections.abc import Iterator
from typing import Any, get_args

import msgspec
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import OpenAPI

from common.webhook import ENDS, VERSION, EventType
from services.ingest import examples
from services.ingest.problems import MEDIA_TYPE, title

_PROBLEM = {"$ref": "#/components/schemas/ProblemDocument"}
_TEXT: dict[str, Any] = {"type": "string"}
_HOOKS = get_args(EventType)
_WEBHOOK_BODY: dict[str, Any] = {
    "type": "object",
    "required": ["type", "timestamp", "version", "data"],
    "properties": {
        "type": _TEXT,
        "timestamp": {"type": "string", "format": "date-time", "description": "When it happened; every attempt says the same."},
        "version": {"type": "string", "const": VERSION, "description": "Of this payload; members may be added within a version."},
        "data": {
            "allOf": [{"$ref": "#/components/schemas/JobDocument"}],
            "description": "Events come in no promised order: `revision` is the job's sequence number, and of two the higher is the later.",
        },
        "transcript": {"type": "object", "description": "With the payload `full`, of a completed job: its transcript."},
        "transcript_url": {
            "type": "object",
            "description": "In place of a transcript that is too large for a webhook: where to read it, for a while and without a key.",
            "required": ["url", "expires_at", "size"],
            "properties": {
                "url": {"type": "string", "format": "uri"},
                "expires_at": {"type": "string", "format": "date-time"},
                "size": {"type": ["integer", "null"], "description": "Bytes"},
            },
        },
    },
}

_RETRY_AFTER = {"Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "integer"}, "example": 5}}
_ETAG = {"ETag": {"description": "Send it back as If-None-Match: 304 when nothing has changed.", "schema": _TEXT, "example": '"b1946ac9"'}}
_AUTHENTICATE = {"WWW-Authenticate": {"description": "How to say who you are.", "schema": _TEXT, "example": "Bearer"}}

_REFUSALS: dict[int, tuple[str, str, dict[str, Any]]] = {
    202: (
        "not_ready",
        "The job is processing; its result is there once it is completed.",
        {"job_status": "processing", "progress": 41.3},
    ),
    400: ("malformed_request", "The parameter cannot be read.", {}),
    401: ("unauthorized", "Send a valid API key as 'Authorization: Bearer vb_…'.", {}),
    403: ("forbidden", "This key lacks the scope 'write'.", {"allowed": ["read"]}),
    404: ("job_not_found", f"There is no job {examples.JOB_ID}.", {}),
    408: ("upload_stalled", "No bytes came for 10 seconds.", {}),
    409: ("wrong_status", "A job that is completed cannot be cancelled.", {"allowed": ["uploading", "queued", "processing"]}),
    410: ("result_expired", "The result has expired and was deleted.", {}),
    412: ("unsupported_version", "Send 'Tus-Resumable: 1.0.0'.", {"field": "Tus-Resumable"}),
    413: ("too_large", "The submission is larger than the limit of 4294967296 bytes.", {"limit": 4_294_967_296}),
    415: ("unsupported_media_type", "The file's content is neither audio nor video, whatever its name says.", {"field": "file"}),
    422: ("invalid_option", "beam_size: Expected `int` <= 10", {"field": "beam_size"}),
    423: ("upload_locked", "Another request works on this upload; ask again when it is over.", {}),
    426: ("upgrade_required", "This address is for WebSockets.", {}),
    429: ("too_many_requests", "Too many requests; try again in 5 seconds.", {"limit": 600}),
    460: ("checksum_mismatch", "The bytes have not the Upload-Checksum; none of them was kept, send them again.", {}),
    503: ("database_unavailable", "The database is not reachable at the moment; nothing was lost, try again in a few seconds.", {}),
}
_BAD_LEXICON = ("invalid_lexicon", "corrections[0].to: Expected `str`, got `null`", {"field": "corrections[0].to"})
_BAD_URL = (
    "invalid_option",
    "url: its address is not public, and not in a network that WEBHOOK_ALLOW_NETWORKS opens",
    {"field": "url"},
)
_DISABLED: tuple[str, str, dict[str, Any]] = (
    "endpoint_disabled",
    f"The endpoint {examples.ENDPOINT_ID} is disabled, so nothing is sent to it; resume it first.",
    {},
)
_UPLOAD = "/api/v1/uploads/{upload_id}"
_FILE = "/files/{upload_id}"
_NO_UPLOAD: tuple[str, str, dict[str, Any]] = (
    "upload_not_found",
    f"There is no upload {examples.JOB_ID}; it may have been removed, or its time is over.",
    {},
)
_UPLOAD_LOST: tuple[str, str, dict[str, Any]] = ("upload_lost", "The store no longer has what was uploaded; upload it again.", {})
_PARTICULAR: dict[tuple[str, int], tuple[str, str, dict[str, Any]]] = {
    ("/api/v1/jobs", 409): ("idempotency_key_in_use", "A request with this Idempotency-Key is still being carried out.", {}),
    ("/api/v1/jobs", 404): _NO_UPLOAD,
    ("/api/v1/jobs", 410): _UPLOAD_LOST,
    **{(path, 404): _NO_UPLOAD for path in (_UPLOAD, f"{_UPLOAD}/urls", f"{_UPLOAD}/complete")},
    ("/files", 410): _UPLOAD_LOST,
    (_FILE, 410): _UPLOAD_LOST,
    ("/files", 400): ("invalid_header", "Upload-Length: it is required, as a number of bytes.", {"field": "Upload-Length"}),
    (_FILE, 400): ("invalid_header", "Upload-Offset: it is required, as a number of bytes.", {"field": "Upload-Offset"}),
    (_FILE, 404): _NO_UPLOAD,
    (_FILE, 409): ("offset_conflict", "The upload has 5242880 bytes; go on from there.", {"offset": 5_242_880}),
    (_UPLOAD, 409): (
        "upload_submitted",
        "A job was made of this upload; what becomes of it is the job's now.",
        {"job_id": examples.JOB_ID},
    ),
    (f"{_UPLOAD}/urls", 409): ("upload_ready", "The upload is complete and takes no more bytes; make a job of it.", {}),
    (f"{_UPLOAD}/complete", 409): (
        "parts_missing",
        "2 parts are not in the store, or not in their size; PUT them and ask again.",
        {"missing": [3, 4]},
    ),
    (f"{_UPLOAD}/complete", 410): _UPLOAD_LOST,
    ("/api/v1/admin/keys/{key_id}", 404): ("key_not_found", f"There is no key {examples.JOB_ID}.", {}),
    ("/api/v1/admin/cleanup/{cleanup_id}", 404): (
        "cleanup_not_found",
        f"There is no cleanup {examples.JOB_ID}; they are kept for a week.",
        {},
    ),
    ("/api/v1/admin/keys", 422): ("invalid_option", "scopes: Invalid enum value 'all' - at `$[...]`", {"field": "scopes"}),
    ("/api/v1/admin/cleanup", 422): ("invalid_option", "there is no such member; known are duties, dry_run", {"field": "all"}),
    ("/api/v1/jobs/{job_id}/archive", 202): ("archive_not_ready", "The archive is being made; ask again.", {}),
    ("/api/v1/jobs/{job_id}/archive", 409): (
        "no_speakers",
        "The transcript does not tell speakers apart; ask for by=segment, or submit with diarize=true.",
        {},
    ),
    ("/api/v1/jobs/{job_id}/transcript", 409): (
        "job_failed",
        f"The job failed: {examples.FAILURE['message']}",
        {"job_error": examples.FAILURE},
    ),
    ("/api/v1/jobs/{job_id}/audio", 409): (
        "job_failed",
        f"The job failed: {examples.FAILURE['message']}",
        {"job_error": examples.FAILURE},
    ),
    ("/api/v1/jobs/{job_id}/receipt", 404): (
        "receipt_not_found",
        f"There is no receipt for a job {examples.JOB_ID}; it has neither expired nor been deleted, or long ago.",
        {},
    ),
    ("/api/v1/jobs/{job_id}/audio", 410): ("audio_deleted", "The recording has been deleted.", {}),
    ("/api/v1/jobs/{job_id}/retry", 409): (
        "wrong_status",
        "A job that is completed cannot be retried; that is for jobs that are failed or cancelled.",
        {"job_status": "completed", "allowed": ["failed", "cancelled"]},
    ),
    **{
        (f"/api/v1/webhooks/{{endpoint_id}}{rest}", 404): (
            "endpoint_not_found",
            f"There is no webhook endpoint {examples.ENDPOINT_ID}.",
            {},
        )
        for rest in ("", "/deliveries", "/pause", "/replay", "/resume", "/rotate", "/test")
    },
    **{(path, 422): _BAD_URL for path in ("/api/v1/webhooks", "/api/v1/webhooks/{endpoint_id}")},
    **{
        (f"/api/v1/webhooks/{path}/rotate", 422): ("invalid_option", "overlap: Expected `int` <= 604800", {"field": "overlap"})
        for path in ("{endpoint_id}", "secret")
    },
    ("/api/v1/webhooks/{endpoint_id}/replay", 422): ("invalid_option", "since: it is required", {"field": "since"}),
    ("/api/v1/webhooks/{endpoint_id}/replay", 409): _DISABLED,
    ("/api/v1/webhooks", 409): (
        "too_many_endpoints",
        "You have 20 webhook endpoints, and no more can be kept; delete one.",
        {"limit": 20},
    ),
    ("/api/v1/webhooks/secret", 404): (
        "no_secret",
        "You have no secret of your own for jobs' webhooks; POST /api/v1/webhooks/secret/rotate makes one.",
        {},
    ),
    **{
        (path, 404): ("delivery_not_found", f"There is no delivery {examples.DELIVERY_ID}.", {})
        for path in ("/api/v1/deliveries/{delivery_id}", "/api/v1/deliveries/{delivery_id}/redeliver")
    },
    ("/api/v1/deliveries/{delivery_id}/redeliver", 409): _DISABLED,
    ("/api/v1/lexicons", 409): ("too_many_lexicons", "You have 100 lexicons, and no more can be kept; delete one.", {"limit": 100}),
    ("/api/v1/lexicons", 422): _BAD_LEXICON,
    ("/api/v1/lexicons/{lexicon_id}", 404): ("lexicon_not_found", f"There is no lexicon {examples.LEXICON_ID}.", {}),
    ("/api/v1/lexicons/{lexicon_id}", 422): _BAD_LEXICON,
}
_HEADERS = {202: _RETRY_AFTER, 401: _AUTHENTICATE, 423: _RETRY_AFTER, 429: _RETRY_AFTER, 503: _RETRY_AFTER}
_STRUCTS: dict[str, Any] = {
    "JobDocument": examples.EVENTS["job.created"],
    "LexiconDocument": examples.LEXICON,
    "LexiconList": examples.LEXICON_LIST,
    "CleanupDocument": examples.CLEANUP,
    "StorageDocument": examples.STORAGE,
    "Receipt": examples.RECEIPT,
    "Resumed": {"requeued": 12, "rescued": 1, "audio_gone": 0, "more": False},
    "Cleared": {"deleted": 15, "cancelled": 0, "objects": 30, "failed": 0, "more": False},
    "KeyDocument": examples.KEY,
    "NewKey": examples.KEY | {"key": "vb_3pX0Zk1sQm8wTnB5yH2cLr7vAe9dJf4gUi6oKx0Mzq1"},
    "KeyList": {"keys": [examples.KEY]},
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
    document["webhooks"] = {kind: {"post": _webhook(kind)} for kind in _HOOKS}
    return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        yield from ((path, operation) for method, operation in item.items() if method in {"get", "post", "put", "patch", "delete", "head"})


def _describe(path: str, status: int, response: dict[str, Any], schemas: dict[str, Any]) -> None:
    content = response.get("content", {})
    refused = status >= 400 or any(media.get("schema") == _PROBLEM for media in content.values())
    headers = response.get("headers", {})
    if status in {204, 302, 304}:
        response.pop("content", None)
    elif refused:
        example = _refusal(path, status)
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


def _refusal(path: str, status: int) -> dict[str, Any]:
    known = _PARTICULAR.get((path, status)) or _REFUSALS.get(status)
    code, detail, extra = known or ("refused", "The request was refused.", {})
    return examples.problem(status, title(status), code, detail, **extra)


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


def _webhook(kind: str) -> dict[str, Any]:
    return {
        "operationId": kind,
        "tags": ["webhooks"],
        "summary": f"{kind}, sent to endpoints that want it" + (" and to the job's webhook_url" if kind in ENDS else ""),
        "description": "Standard Webhooks 1.0. Verify the signature over `{webhook-id}.{webhook-timestamp}.{body}` (HMAC-SHA256, base64)"
        " and refuse old timestamps. The same event keeps its `webhook-id` over all attempts. Order is not promised:"
        " of two events of a job the one with the higher `data.revision` tells the later state.",
        "security": [{}],
        "parameters": [
            _header("webhook-id", "The event's id: deduplicate by it."),
            _header("webhook-timestamp", "Unix seconds of this attempt."),
            _header("webhook-signature", "`v1,<signature>`, and another after a space while secrets are rotated."),
            _header("traceparent", "W3C trace context: the job's trace.", required=False),
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _WEBHOOK_BODY, "example": _webhook_body(kind)}},
        },
        "responses": {
            "2XX": {"description": "Received. Anything else, redirects included, is tried again later, for about three days."},
            "410": {"description": "Gone: no further attempt is made, and an endpoint is disabled."},
        },
    }


def _webhook_body(kind: str) -> dict[str, Any]:
    return {"type": kind, "timestamp": examples.HAPPENED_AT, "version": VERSION, "data": examples.EVENTS[kind]}


def _header(name: str, description: str, *, required: bool = True) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": _TEXT,
        "example": examples.WEBHOOK_HEADERS[name],
    }
