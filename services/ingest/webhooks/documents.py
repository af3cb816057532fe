"""What clients say of an endpoint and what they are shown: never a secret, but for the answer that makes it."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from common.webhook import shown
from services.ingest.problems import Problem
from services.ingest.webhooks.store import Described, Endpoint

PATH = "/api/v1/webhooks"


class RotateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """For how many seconds webhooks are signed with the old secret too, so that receivers can change over."""

    overlap: Annotated[int, msgspec.Meta(ge=0, le=604_800)] = 86_400


class WebhookDocument(Described, frozen=True, kw_only=True):
    """An endpoint; `url` is shown without its query, which may be a secret.

    `failing_since` is the first failure after the last success. `disabled_reason` says why nothing is sent any more.
    """

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
    row = {name: getattr(found, name) for name in Described.__struct_fields__}
    return row | {"url": shown(found.url), "links": {"self": own, "deliveries": f"{own}/deliveries"}}
