"""The webhooks section of the OpenAPI document: what is sent to receivers, how it is signed, and what their answers mean."""

from typing import Any, get_args

from common.webhook import ENDS, VERSION, EventType
from services.ingest import examples

_TEXT: dict[str, Any] = {"type": "string"}
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


def webhooks() -> dict[str, Any]:
    """The section: one operation for each type of event."""
    return {kind: {"post": _webhook(kind)} for kind in get_args(EventType)}


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
