"""What clients say of an endpoint and what they are shown: never a secret, but for the answer that makes it."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from common.webhook import ENDS, EventType, Form, shown
from services.ingest.problems import Problem
from services.ingest.webhooks.store import Draft, Endpoint, Status

PATH = "/api/v1/webhooks"


class EndpointRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Where to, and what of; without `events`: how jobs end. With the payload `full` the transcript comes along."""

    url: Annotated[
        str, msgspec.Meta(min_length=8, max_length=2_000, pattern=r"^https?://[^\s/]+", description="http or https, at a public address")
    ]
    events: Annotated[tuple[EventType, ...], msgspec.Meta(min_length=1, max_length=20)] = ENDS
    description: Annotated[str, msgspec.Meta(max_length=500)] = ""
    payload: Form = "thin"

    @property
    def draft(self) -> Draft:
        return Draft(self.url, list(dict.fromkeys(self.events)), self.description, self.payload)


class RotateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """For how many seconds webhooks are signed with the old secret too, so that receivers can change over."""

    overlap: Annotated[int, msgspec.Meta(ge=0, le=604_800)] = 86_400


class WebhookDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint; `url` is shown without its query, which may be a secret.

    `failing_since` is the first failure after the last success. `disabled_reason` says why nothing is sent any more.
    """

    id: str
    url: str
    events: list[EventType]
    description: str
    payload: Form
    status: Status
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_reason: str | None
    created_at: datetime
    updated_at: datetime
    links: dict[str, str]


class NewWebhook(WebhookDocument, frozen=True, kw_only=True):
    """`secret` verifies the signatures: it is shown this once."""

    secret: str


class WebhookList(msgspec.Struct, frozen=True):
    """All that there are, oldest first."""

    webhooks: list[WebhookDocument]


class SecretDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A new secret, shown this once; until `previous_until` the one before signs too."""

    secret: str
    created_at: datetime
    previous_until: datetime | None


def document(found: Endpoint) -> WebhookDocument:
    """What is shown of an endpoint."""
    return WebhookDocument(**_members(found))


def new(made: Endpoint, secret: str) -> NewWebhook:
    """The same with its secret."""
    return NewWebhook(**_members(made), secret=secret)


def there(endpoint_id: UUID, found: Endpoint | None) -> Endpoint:
    """What was found. Raises `Problem` 404 when it is nothing."""
    if found is None:
        raise missing(endpoint_id)
    return found


def missing(endpoint_id: UUID) -> Problem:
    """404."""
    return Problem(404, "endpoint_not_found", f"There is no webhook endpoint {endpoint_id}.")


def _members(found: Endpoint) -> dict[str, Any]:
    own = f"{PATH}/{found.id}"
    return {
        "id": str(found.id),
        "url": shown(found.url),
        "events": found.events,
        "description": found.description,
        "payload": found.payload,
        "status": found.status,
        "failing_since": found.failing_since,
        "disabled_at": found.disabled_at,
        "disabled_reason": found.disabled_reason,
        "created_at": found.created_at,
        "updated_at": found.updated_at,
        "links": {"self": own, "deliveries": f"{own}/deliveries"},
    }
