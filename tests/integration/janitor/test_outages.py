"""A janitor whose servers go away and come back."""

import os
from pathlib import Path

from common import database
from common.database import Pool
from common.jobs.job import Job, Status
from deploy.local.private import Private
from deploy.local.service import local_environment, without_configuration
from deploy.local.stack import Stack
from tests.jobs import LOST, claimed, queued, reread
from tests.running import Services, wait_until


async def test_outages_stop_duties_and_not_the_janitor(own_stack: Stack, tmp_path: Path) -> None:
    """Without the store or the broker leases are still rescued; without Postgres it waits; and it goes on by itself each time."""
    environment = local_environment(
        own_stack, models=tmp_path, private=Private(tmp_path / "private.json"), environ=without_configuration(os.environ)
    )
    services = Services(environment, tmp_path / "services")
    try:
        janitor = await services("janitor", CLEANUP_INTERVAL_MINUTES="0.01", RESCUE_INTERVAL_SECONDS="0.2")
        async with database.connect(own_stack.database_url, name="test") as pool:
            for server in (own_stack.seaweedfs, own_stack.rabbitmq):
                server.kill()
                await rescued(pool, await lost(pool))
                server.start()
            own_stack.postgres.kill()
            own_stack.postgres.start()
        async with database.connect(own_stack.database_url, name="test") as pool:
            await rescued(pool, await lost(pool))
        assert janitor.running
        assert "sweep broke" not in janitor.log
    finally:
        services.stop()


async def lost(pool: Pool) -> Job:
    async with pool.acquire() as connection:
        await queued(connection, max_attempts=9)
        return await claimed(connection, lease=LOST)


async def rescued(pool: Pool, job: Job) -> None:
    async def done() -> bool:
        async with pool.acquire() as connection:
            return (await reread(connection, job)).status is Status.QUEUED

    await wait_until(done, "the rescue")
