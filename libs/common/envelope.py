"""Events on the wire: CloudEvents 1.0 in AMQP 0-9-1 binary mode.

The body is the data itself; the attributes are `ce-*` headers, `message_id` is the event's id and `traceparent` the W3C context, so that
any consumer can deduplicate and continue the trace without opening the body.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractIncomingMessage

from common.errors import PermanentError
from common.ids import EventId

CONTENT_TYPE = "application/json"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """`type` is also the routing key; `subject` names what it happened to (a job id); `data` is the JSON body as bytes.

    `redelivered`: the broker has given it to somebody before, of whom it may be all that is left.
    """

    id: EventId
    type: str
    source: str
    subject: str
    time: datetime
    data: bytes
    trace: str | None = None
    redelivered: bool = False


def to_message(event: Event, *, trace: str | None, persistent: bool = True) -> Message:
    """`trace` is the publisher's own span, which becomes the consumer's parent."""
    headers = {
        "ce-specversion": "1.0",
        "ce-id": str(event.id),
        "ce-type": event.type,
        "ce-source": event.source,
        "ce-subject": event.subject,
        "ce-time": event.time.isoformat(),
    }
    if trace is not None:
        headers["traceparent"] = trace
    return Message(
        event.data,
        content_type=CONTENT_TYPE,
        message_id=str(event.id),
        type=event.type,
        timestamp=event.time,
        headers=dict(headers),
        delivery_mode=DeliveryMode.PERSISTENT if persistent else DeliveryMode.NOT_PERSISTENT,
    )


def from_message(message: AbstractIncomingMessage) -> Event:
    """Raises `PermanentError("not_an_event")` for a message that does not carry the attributes."""
    return from_headers(message.headers, message.body, redelivered=bool(message.redelivered))


def from_headers(headers: Mapping[str, object], data: bytes, *, redelivered: bool = False) -> Event:
    """The same for a message of which these are left."""
    try:
        return Event(
            id=EventId(UUID(str(headers["ce-id"]))),
            type=str(headers["ce-type"]),
            source=str(headers["ce-source"]),
            subject=str(headers["ce-subject"]),
            time=datetime.fromisoformat(str(headers["ce-time"])),
            data=data,
            trace=None if headers.get("traceparent") is None else str(headers["traceparent"]),
            redelivered=redelivered,
        )
    except (KeyError, ValueError) as error:
        raise PermanentError("not_an_event", f"The message lacks a valid CloudEvents attribute: {error}.") from error
