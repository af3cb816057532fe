"""Makes a worker known while it lives, whether or not it has a job: a row in `workers` that runs out by itself.

Jobs are leased one by one, so nothing but what is shown (and the limit per tenant that the janitor counts tokens by) depends on these rows.
"""

import asyncio
import contextlib

import structlog

from common import ids
from common.database import AWAY, Pool
from common.jobs import queue
from services.transcriber.child import Engine
from services.transcriber.settings import Settings, worker_name

log = structlog.get_logger(__name__)


async def presence(pool: Pool, engine: Engine, settings: Settings) -> None:
    """Beat for as long as the service runs, from when the engine is ready."""
    await engine.ready.wait()
    worker = ids.new()
    try:
        while True:
            try:
                async with pool.acquire() as connection:
                    await queue.beat(
                        connection,
                        worker,
                        name=worker_name(),
                        slots=settings.max_concurrent_jobs,
                        jobs_per_tenant=settings.max_jobs_per_tenant,
                        lasting=settings.lease,
                    )
            except AWAY as error:
                log.warning("beat failed", error=repr(error))
            await asyncio.sleep(settings.heartbeat_seconds)
    finally:
        with contextlib.suppress(*AWAY):
            async with asyncio.timeout(1), pool.acquire() as connection:
                await queue.leave(connection, worker)
