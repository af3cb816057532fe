"""Endpoints that are given up, and those that are not."""

from typing import Any

from common import ids
from common.database import Pool
from common.due import Due, about, announce
from services.ingest.webhooks import store as endpoints
from tests.integration.notifier.conftest import Notifier, wanting
from tests.integration.notifier.receiver import Receiver, answering
from tests.jobs import claimed, finished


async def test_days_of_only_failures(pool: Pool, notifier: Notifier, receiver: Receiver) -> None:
    """An endpoint is disabled when it was tried on five different days, and over five days has accepted nothing; tests do not count."""
    endpoint = await pool.fetchval(
        "insert into endpoints (id, tenant, url, events, description) values (gen_random_uuid(), 'default', $1, '{job.completed}', '')"
        " returning id",
        receiver.url,
    )

    async def happen(status: int) -> tuple[str, int]:
        receiver.answers.append(answering(status))
        async with pool.acquire() as connection:
            await wanting(connection, None)
            job = await finished(connection, await claimed(connection))
        await notifier.take_in(job)
        await notifier.run()
        return await standing()

    async def test() -> tuple[str, int]:
        receiver.answers.append(answering(500))
        async with pool.acquire() as connection, connection.transaction():
            made = ids.new()
            await connection.execute(endpoints.SQL["create_test"], made, ids.new(), "webhook.test", endpoint, b"{}")
            await announce(connection, about(None, endpoint), Due(made, 1))
        await notifier.run()
        return await standing()

    async def standing() -> tuple[str, int]:
        found: Any = await pool.fetchrow("select status, failing_since, failed_on from endpoints")
        return found["status"], len(found["failed_on"]) if found["failing_since"] else 0

    async def failed_before(days: int, earliest: int) -> None:
        await pool.execute(
            "update endpoints set failing_since = now() - $2 * interval '1 day',"
            " failed_on = array(select (now() at time zone 'UTC')::date - n from generate_series(1, $1::integer) n)",
            days,
            earliest,
        )

    assert await test() == ("enabled", 0)
    assert [await happen(500), await happen(500)] == [("enabled", 1)] * 2
    await failed_before(1, earliest=30)
    assert await happen(500) == ("enabled", 2)
    await failed_before(6, earliest=4)
    assert await happen(500) == ("enabled", 7)
    await failed_before(4, earliest=5)
    assert await test() == ("enabled", 4)
    assert await happen(204) == ("enabled", 0)
    assert await happen(500) == ("enabled", 1)
    assert await pool.fetchval("select failed_on = array[(failing_since at time zone 'UTC')::date] from endpoints")
    await failed_before(4, earliest=5)
    assert await happen(500) == ("disabled", 5)
