"""How an attempt ends when the job is taken from it."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from common.broker import Broker
from common.database import Pool
from common.jobs import store
from common.jobs.watch import Watch
from common.storage import Storage
from common.storage_keys import source_key
from services.transcriber.attempt import Attempts
from services.transcriber.child import Engine
from services.transcriber.limits import Limits
from services.transcriber.settings import Settings
from tests.jobs import claimed, queued, reread

SCRIPTED = (sys.executable, "-m", "tests.scripted_engine")
SECONDS = 20
SETTINGS = Settings(database_url="", amqp_url="", aws_access_key_id="", aws_secret_access_key="")


class Hanging(Storage):
    """A bucket that takes for ever to store anything."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage._client, storage.bucket)
        self.asked = asyncio.Event()

    async def put(self, key: str, data: bytes, *, content_type: str) -> None:  # noqa: ARG002 - the interface
        if key.startswith("results/"):
            self.asked.set()
            await asyncio.Event().wait()


async def test_cancelling_ends_an_attempt_that_stores_its_result(pool: Pool, broker: Broker, storage: Storage, tmp_path: Path) -> None:
    """Within two seconds of the news, with nothing left to wait for; the job stays cancelled."""
    async with pool.acquire() as connection:
        job = await queued(connection)
        await storage.put(source_key(job.id), b"sound", content_type="audio/wav")
        job = await claimed(connection)
    hanging, watch = Hanging(storage), Watch()
    engine = Engine(limits=Limits(job=timedelta(seconds=SECONDS)), command=SCRIPTED)
    attempts = Attempts(pool=pool, storage=hanging, broker=broker, engine=engine, watch=watch, scratch=tmp_path, settings=SETTINGS)
    child = asyncio.create_task(engine.run())
    try:
        attempt = asyncio.create_task(attempts.make(job))
        await asyncio.wait_for(hanging.asked.wait(), SECONDS)
        async with pool.acquire() as connection:
            await store.cancel(connection, job.id, job.tenant)
            watch.notify(str(job.id))
            await asyncio.wait_for(attempt, 2)
            assert (await reread(connection, job)).status == "cancelled"
    finally:
        child.cancel()
        await asyncio.gather(child, return_exceptions=True)
