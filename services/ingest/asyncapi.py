"""The AsyncAPI 3 document of what Verbatim says without being asked: events on the broker, and what a WebSocket tells.

It is generated from the structs and the topology, so it cannot differ from them. `python -m services.ingest.asyncapi` prints it as YAML;
`docs/api/asyncapi.yaml` is that output, which a test keeps current. Events of our own bookkeeping are no part of it.
"""

import sys
from functools import cache
from inspect import cleandoc
from typing import Any

import msgspec
import yaml
from litestar import Router, get

from common.envelope import CONTENT_TYPE
from common.jobs.document import JobDocument
from common.jobs.partials import PartialSegment
from common.topology import EXCHANGE, QUEUES, ROUTED
from common.webhook import Disabled
from services.ingest.examples import CHANGE, DISABLED, ENDPOINT_ID, EVENTS, JOB_ID, PARTIAL, WEBHOOK_HEADERS
from services.ingest.feeds import Change
from services.ingest.sockets import SUBPROTOCOL

PATH = "/asyncapi.json"

_DISABLED = "webhook.disabled"
_TRANSIENT = {"job.progress"}
_MEANINGS = {
    "job.created": "A recording was submitted and is stored; the job waits for a worker.",
    "job.requeued": "The job waits for a worker again: after a transient failure, a lost or stopping worker, or on request.",
    "job.started": "A worker has begun an attempt at the job.",
    "job.progress": "A worker tells how far it is. Told as it happens, not kept: may be lost.",
    "job.completed": "The transcript is stored where `result` says.",
    "job.failed": "The job has failed for good; `error` says why.",
    "job.cancelled": "The job was cancelled.",
    "job.expired": "The recording and the transcript were deleted, as the time they are kept for is up.",
    "job.deleted": "The job was deleted with all that belonged to it.",
    _DISABLED: "A webhook endpoint was given up; `reason` says why, and nothing is sent to it until it is resumed.",
}
_EVENTS = EVENTS | {_DISABLED: DISABLED}
_TEXT: dict[str, Any] = {"type": "string"}
_HEADERS: dict[str, Any] = {
    "type": "object",
    "description": "CloudEvents 1.0 in binary mode: the attributes are headers, the body is the data.",
    "required": ["ce-specversion", "ce-id", "ce-type", "ce-source", "ce-subject", "ce-time"],
    "properties": {
        "ce-specversion": {"type": "string", "const": "1.0"},
        "ce-id": {"type": "string", "format": "uuid", "description": "The event's; a repeated delivery has the same. Also the message_id."},
        "ce-type": {"type": "string", "description": "Also the routing key."},
        "ce-source": _TEXT,
        "ce-subject": {"type": "string", "format": "uuid", "description": "The job's id; an endpoint's for webhook.disabled."},
        "ce-time": {"type": "string", "format": "date-time"},
        "traceparent": {"type": "string", "description": "W3C trace context; the trace is the job's, from its submission on."},
    },
}


@cache
def document() -> dict[str, Any]:
    """The whole document, as JSON has it."""
    _, described = msgspec.json.schema_components(
        [JobDocument, Disabled, Change, PartialSegment], ref_template="#/components/schemas/{name}"
    )
    schemas: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(described))  # a default may be a tuple, which JSON does not have
    for schema in schemas.values():
        schema["description"] = cleandoc(schema["description"])  # as Python does itself from 3.13 on
    return {
        "asyncapi": "3.0.0",
        "id": "urn:verbatim",
        "info": {
            "title": "Verbatim",
            "version": "1",
            "description": f"Bind a queue of your own to the topic exchange `{EXCHANGE}`, with `job.#` or with single event types."
            " Delivery is at least once: deduplicate by `ce-id`. What an event shows is the job as it was at that moment.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "broker": {"host": "localhost:5672", "protocol": "amqp", "protocolVersion": "0-9-1", "description": "RabbitMQ 3.10 to 4.x"},
            "api": {"host": "localhost:8080", "protocol": "ws", "security": [{"$ref": "#/components/securitySchemes/key"}]},
        },
        "channels": {_name(kind): _channel(kind) for kind in _EVENTS} | {"watch": _WATCH},
        "operations": {f"send-{_name(kind)}": _operation(kind) for kind in _EVENTS}
        | {"send-change": _SEND_CHANGE, "send-segment": _SEND_SEGMENT},
        "components": {
            "messages": {_name(kind): _message(kind) for kind in _EVENTS} | {"change": _CHANGE, "segment": _SEGMENT},
            "schemas": schemas | {"EventHeaders": _HEADERS, "WatchMessage": _WATCH_MESSAGE, "SegmentMessage": _SEGMENT_MESSAGE},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def router() -> Router:
    """`/asyncapi.json`, for everybody."""

    @get(PATH, summary="The AsyncAPI document of events and WebSockets", sync_to_thread=False)
    def read_asyncapi() -> dict[str, Any]:
        """AsyncAPI 3: the events that other systems may receive from the broker, and the messages of a WebSocket."""
        return document()

    return Router("/", route_handlers=[read_asyncapi], tags=["operations"], security=[{}])


def _name(kind: str) -> str:
    return kind.replace(".", "-")


def _channel(kind: str) -> dict[str, Any]:
    return {
        "address": kind,
        "description": _MEANINGS[kind],
        "servers": [{"$ref": "#/servers/broker"}],
        "messages": {_name(kind): {"$ref": f"#/components/messages/{_name(kind)}"}},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {"name": EXCHANGE, "type": "topic", "durable": True, "autoDelete": False},
                "bindingVersion": "0.3.0",
            }
        },
        "x-own-queues": [queue.name for queue in QUEUES if kind in queue.bindings],
    }


def _operation(kind: str) -> dict[str, Any]:
    return {
        "action": "send",
        "summary": _MEANINGS[kind],
        "channel": {"$ref": f"#/channels/{_name(kind)}"},
        "messages": [{"$ref": f"#/channels/{_name(kind)}/messages/{_name(kind)}"}],
        "bindings": {"amqp": {"deliveryMode": 1 if kind in _TRANSIENT else 2, "mandatory": kind in ROUTED, "bindingVersion": "0.3.0"}},
    }


def _message(kind: str) -> dict[str, Any]:
    headers = {
        "ce-specversion": "1.0",
        "ce-id": WEBHOOK_HEADERS["webhook-id"],
        "ce-type": kind,
        "ce-source": "/verbatim",
        "ce-subject": ENDPOINT_ID if kind == _DISABLED else JOB_ID,
        "ce-time": "2026-03-02T09:30:09.731266+00:00",
        "traceparent": WEBHOOK_HEADERS["traceparent"],
    }
    return {
        "name": kind,
        "summary": _MEANINGS[kind],
        "contentType": CONTENT_TYPE,
        "headers": {"$ref": "#/components/schemas/EventHeaders"},
        "payload": {"$ref": f"#/components/schemas/{'Disabled' if kind == _DISABLED else 'JobDocument'}"},
        "correlationId": {"location": "$message.header#/ce-subject"},
        "bindings": {"amqp": {"messageType": kind, "bindingVersion": "0.3.0"}},
        "examples": [{"name": kind, "headers": headers, "payload": _EVENTS[kind]}],
    }


_WATCH: dict[str, Any] = {
    "address": "/api/v1/jobs/{job_id}/ws",
    "description": "The job's state at once, then every change until it is final; then the server closes with 1000 (1012 when it stops)."
    f" `?last_event_id=` resumes. A client that cannot send headers offers the subprotocols `{SUBPROTOCOL}` and `bearer.<key>`.",
    "servers": [{"$ref": "#/servers/api"}],
    "parameters": {"job_id": {"description": "The job's id."}},
    "messages": {"change": {"$ref": "#/components/messages/change"}, "segment": {"$ref": "#/components/messages/segment"}},
    "bindings": {
        "ws": {
            "method": "GET",
            "query": {"type": "object", "properties": {"last_event_id": {"type": "integer", "minimum": 0}}},
            "bindingVersion": "0.1.0",
        }
    },
}
_SEND_SEGMENT: dict[str, Any] = {
    "action": "send",
    "summary": "Show a watcher text as it is heard.",
    "channel": {"$ref": "#/channels/watch"},
    "messages": [{"$ref": "#/channels/watch/messages/segment"}],
}
_SEND_CHANGE: dict[str, Any] = {
    "action": "send",
    "summary": "Tell a watcher of a change.",
    "channel": {"$ref": "#/channels/watch"},
    "messages": [{"$ref": "#/channels/watch/messages/change"}],
}
_CHANGE: dict[str, Any] = {
    "name": "change",
    "summary": "The job's status (`status`), or its stage or percent (`progress`), has changed; or it is gone (`deleted`).",
    "contentType": "application/json",
    "payload": {"$ref": "#/components/schemas/WatchMessage"},
    "examples": [{"name": "progress", "payload": {"id": 7, "type": "progress", "data": CHANGE}}],
}
_SEGMENT: dict[str, Any] = {
    "name": "segment",
    "summary": "Text as it is heard: provisional, in no certain order, shown once and kept nowhere. Jobs that redact or mask have none.",
    "contentType": "application/json",
    "payload": {"$ref": "#/components/schemas/SegmentMessage"},
    "examples": [{"name": "segment", "payload": {"type": "segment", "data": PARTIAL}}],
}
_WATCH_MESSAGE: dict[str, Any] = {
    "type": "object",
    "required": ["id", "type", "data"],
    "properties": {
        "id": {"type": "integer", "description": "Grows with each change of this job; send the last one back to resume."},
        "type": {"type": "string", "enum": ["status", "progress", "deleted"]},
        "data": {"$ref": "#/components/schemas/Change"},
    },
}


_SEGMENT_MESSAGE: dict[str, Any] = {
    "type": "object",
    "required": ["type", "data"],
    "properties": {
        "type": {"type": "string", "const": "segment"},
        "data": {"$ref": "#/components/schemas/PartialSegment"},
    },
}


def as_yaml() -> str:
    """The same, for people to read."""
    return yaml.dump(document(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - what is said twice is written twice, without anchors
        return True


if __name__ == "__main__":
    sys.stdout.write(as_yaml())
