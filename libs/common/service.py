"""What every composition root opens first: logging, tracing, schema, pool, broker, storage, lifecycle, and the relay that all run."""

import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from common import database, listener, logging, storage, tracing
from common.broker import Broker
from common.database import Pool
from common.health import Check, Health
from common.lifecycle import Lifecycle, lifecycle
from common.migrations import is_current, migrate
from common.relay import Relay
from common.settings import Common
from common.storage import Storage

Handler = Callable[[str], None]


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """The shared resources of one running service."""

    life: Lifecycle
    pool: Pool
    broker: Broker
    storage: Storage
    relay: Relay
    health: Health


@asynccontextmanager
async def resources(
    name: str,
    settings: Common,
    *,
    checks: Mapping[str, Check] | None = None,
    notified: Mapping[str, Handler] | None = None,
    relay_share: float = 1.0,
) -> AsyncIterator[Resources]:
    """Open everything in order, start the relay and its listener, and close in reverse.

    `checks` add to readiness; `notified` maps further Postgres channels to what their notifications call; of a backlog of events the relay
    publishes what it can in that share of its time.
    """
    logging.configure(name, level=settings.log_level, style=settings.log_format)
    async with AsyncExitStack() as stack:
        stack.enter_context(tracing.provider(name, settings.otel_exporter_otlp_endpoint))
        await migrate(settings.database_url)
        process = secrets.token_hex(4)
        pool = await stack.enter_async_context(database.connect(settings.database_url, name=name, process=process))
        broker = await stack.enter_async_context(Broker(settings.amqp_url, name=name))
        store = await stack.enter_async_context(
            storage.connect(
                endpoint_url=settings.s3_endpoint_url,
                bucket=settings.s3_bucket,
                access_key=settings.aws_access_key_id,
                secret_key=settings.aws_secret_access_key,
                region=settings.aws_region,
                public_endpoint_url=settings.s3_public_endpoint_url,
            )
        )
        await store.ensure_bucket()
        life = await stack.enter_async_context(lifecycle(settings.drain_seconds))
        relay = Relay(pool, broker, process=process, share=relay_share)
        life.side("relay", relay.run())
        handlers = {"outbox": relay.notify, **(notified or {})}
        life.side("listener", listener.listen(settings.database_url, handlers))
        health = Health(life, {"database": _database_check(pool), "broker": broker.ping, "storage": store.ping, **(checks or {})})
        yield Resources(life=life, pool=pool, broker=broker, storage=store, relay=relay, health=health)


def _database_check(pool: Pool) -> Check:
    async def check() -> None:
        async with pool.acquire() as connection:
            if not await is_current(connection):
                raise RuntimeError("the schema is not current")

    return check
