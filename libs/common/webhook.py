"""What a webhook is, for those who ask for one and those who send it."""

import base64
import secrets
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

EventType = Literal["job.started", "job.completed", "job.failed", "job.cancelled", "job.expired"]
"""What an endpoint may be told of."""

ENDS: tuple[EventType, ...] = ("job.completed", "job.failed", "job.cancelled")
"""What a job's own `webhook_url` is told of, and an endpoint that does not say."""

Form = Literal["thin", "full"]
"""What a webhook's body has in it: the job, or the job and its transcript."""

OwnForm = Literal["thin", "full", "process"]
"""The same of a job's own webhook; `process` is what the earlier service for media files sent."""

TEST = "webhook.test"
"""The type of an event that nothing has happened for. It is sent once, whether or not its endpoint is enabled."""

VERSION = "1"
"""Of the payload: another one when a member goes or changes its meaning, not when one is added."""

_SECRET_BYTES = 32


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook's body; `timestamp` is when it happened, which a late attempt does not change."""

    type: str
    timestamp: datetime
    version: str = VERSION
    data: msgspec.Raw


class Disabled(msgspec.Struct, frozen=True, kw_only=True):
    """What `webhook.disabled` tells on the broker: an endpoint was given up, and why."""

    id: UUID
    tenant: str
    url: str
    reason: str
    links: dict[str, str]


def body(event_type: str, happened_at: datetime, data: bytes) -> bytes:
    """The bytes that are signed and sent; `data` is JSON, and stays byte for byte what it is."""
    return msgspec.json.encode(Payload(type=event_type, timestamp=happened_at, data=msgspec.Raw(data)))


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Where a transcript can be read that is not in the body; `size` in bytes, if it is known. The URL is a secret."""

    url: str
    expires_at: datetime
    size: int | None


def with_transcript(thin: bytes, transcript: bytes) -> bytes:
    """A body and its job's transcript, both as they are."""
    return thin.removesuffix(b"}") + b',"transcript":' + transcript + b"}"


def with_link(thin: bytes, link: Link) -> bytes:
    """A body and where its job's transcript is."""
    return thin.removesuffix(b"}") + b',"transcript_url":' + msgspec.json.encode(link) + b"}"


def new_secret() -> str:
    """A signing secret as Standard Webhooks writes it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def shown(url: str) -> str:
    """A URL without what may be a secret in it: user, password, query and fragment."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
