"""Servers that go away while a request is under way: what was sent is not sent again."""

import asyncio

import msgspec

from common import database
from common.database import Pool
from common.jobs.job import Job
from common.migrations import migrate
from deploy.local.stack import Stack
from tests.integration.notifier.conftest import Delivery, Tried, delivery, delivery_in, due_now, wanting
from tests.integration.notifier.receiver import Receiver
from tests.jobs import claimed, finished
from tests.running import Services, wait_until

ONCE = Delivery("delivered", 1, [Tried(204, "", None)])


async def completed(pool: Pool, url: str) -> Job:
    async with pool.acquire() as connection:
        await wanting(connection, url)
        return await finished(connection, await claimed(connection))


async def test_postgres_and_broker_go_away(own_stack: Stack, service: Services, receiver: Receiver) -> None:
    """A request outlives a restart of Postgres and one of RabbitMQ: its answer is recorded, once, and work goes on."""
    await migrate(own_stack.database_url)
    notifier = await service("notifier", DATABASE_URL=own_stack.database_url, AMQP_URL=own_stack.amqp_url, WEBHOOK_TIMEOUT="300")

    def put_off() -> int:
        lines = [line for line in notifier.log.splitlines() if "attempt not ours" in line and line.endswith("}")]
        return len({msgspec.json.decode(line)["delivery_id"] for line in lines})

    async with database.connect(own_stack.database_url, name="test") as pool:
        receiver.answers.extend([receiver.held, receiver.held])
        jobs = [await completed(pool, receiver.url) for _ in range(2)]
        await receiver.wait(2)

        await asyncio.to_thread(own_stack.rabbitmq.stop)
        await wait_until(lambda: "broker lost" in notifier.log, "the notifier to lose the broker")
        await asyncio.to_thread(own_stack.rabbitmq.start)
        # The broker delivers both attempts again; each copy finds the claim and is put off.
        await wait_until(lambda: put_off() == 2, "both attempts to be delivered again")

        await asyncio.to_thread(own_stack.postgres.stop)
        receiver.release.set()
        await wait_until(lambda: "database away" in notifier.log, "the notifier to lose the database")
        await asyncio.to_thread(own_stack.postgres.start)
        for job in jobs:
            assert await delivery_in(pool, job, "delivered") == ONCE

        await due_now(pool)
        after = await completed(pool, receiver.url)
        await delivery_in(pool, after, "delivered")
        assert [await delivery(pool, job) for job in jobs] == [ONCE, ONCE]
        assert len(receiver.received) == 3
