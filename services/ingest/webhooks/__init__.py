"""Webhook endpoints that a tenant keeps, told of the events of all its jobs."""

from collections.abc import Sequence

from litestar import Router

from common.database import Pool
from common.settings import Network
from services.ingest.webhooks import endpoints, log, rotation, sending
from services.ingest.webhooks.documents import PATH


def router(pool: Pool, allowed: Sequence[Network]) -> Router:
    """`/api/v1/webhooks`; `allowed` are networks that endpoints may be in although they are not public."""
    found = [*endpoints.handlers(pool, allowed), *rotation.handlers(pool), *log.handlers(pool), *sending.handlers(pool)]
    return Router(PATH, route_handlers=found, tags=["webhooks"])
