"""One address that is slow or dead delays no other, and is not called more often than it can bear."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiohttp import web

from common.database import Pool
from common.jobs.job import Job
from services.ingest.webhooks import store as endpoints
from services.ingest.webhooks.store import EndpointRequest
from services.notifier.health import PATIENCE
from services.notifier.lanes import SHUTS_AFTER
from tests.integration.notifier.conftest import Complete, Notifier, delivery, due_now, wanting
from tests.integration.notifier.receiver import Receiver, receiving
from tests.jobs import claimed, finished
from tests.running import wait_until

WIDTH = 4


@pytest.fixture
async def other() -> AsyncIterator[Receiver]:
    """A receiver at another origin."""
    async with receiving() as started:
        yield started


async def completed(complete: Complete, notifier: Notifier, url: str, count: int) -> list[Job]:
    """Jobs that want to call `url`, and whose ends have been taken in."""
    jobs = [await complete(f"{url}/{number}") for number in range(count)]
    for job in jobs:
        await notifier.take_in(job)
    return jobs


async def states(pool: Pool, jobs: list[Job]) -> Counter[str]:
    return Counter(
        row["state"] for row in await pool.fetch("select state from deliveries where job_id = any($1)", [job.id for job in jobs])
    )


async def parked(pool: Pool) -> int:
    found: int = await pool.fetchval("select count(*) from deliveries where parked and state = 'pending'")
    return found


async def until_parked(pool: Pool, count: int) -> None:
    async def there() -> bool:
        return await parked(pool) == count

    await wait_until(there, f"{count} deliveries to be parked")


async def test_no_more_than_its_places(pool: Pool, complete: Complete, notifier: Notifier, receiver: Receiver, other: Receiver) -> None:
    """A slow address has a few requests at a time, the rest waits without a slot or a message; others get theirs meanwhile."""
    receiver.answers.extend([receiver.held] * 10)
    slow = await completed(complete, notifier, receiver.url, 10)
    running = asyncio.create_task(notifier.run())
    await until_parked(pool, 10 - WIDTH)
    assert len(receiver.received) == WIDTH

    quick = await completed(complete, notifier, other.url, 3)
    await notifier.run()
    assert await states(pool, quick) == {"delivered": 3}
    assert len(receiver.received) == WIDTH

    receiver.release.set()
    await running
    assert await states(pool, slow) == {"delivered": 10}
    assert Counter(call.path for call in receiver.received) == {f"/webhook/{number}": 1 for number in range(10)}


async def test_a_dead_address_is_left_alone(
    pool: Pool, complete: Complete, notifier: Notifier, receiver: Receiver, other: Receiver
) -> None:
    """After a few silences nothing is sent there but a probe when the time is up, and no attempt is spent; one answer opens it to all."""
    dead = other.url
    others = receiver.url.replace("127.0.0.1", "localhost")  # one server, another lane
    await other.stop()
    jobs = await completed(complete, notifier, dead, 10)
    await notifier.run()
    tried = await pool.fetchval("select count(*) from delivery_attempts")
    assert SHUTS_AFTER <= tried <= WIDTH
    assert await pool.fetchval("select count(*) from lanes where shut_until > now() + interval '20 seconds'") == 1

    assert await states(pool, await completed(complete, notifier, others, 1)) == {"pending": 1}
    await pool.execute("update deliveries set due_at = now() where state = 'pending'")
    await pool.execute("update outbox set available_at = now() where available_at < now() + interval '10 seconds'")
    await notifier.run()  # the attempts that are repeated find it shut
    assert await pool.fetchval("select count(*) from delivery_attempts where status is null") == tried
    assert await parked(pool) == 9
    [probe] = await pool.fetch("select available_at - now() as wait from outbox where type = 'delivery.due'")
    assert timedelta(seconds=20) < probe["wait"] < timedelta(seconds=31)

    await pool.execute("update deliveries set endpoint = replace(endpoint, $1, $2)", dead, receiver.url)
    await pool.execute("update lanes set shut_until = now(), probe_at = now()")
    await due_now(pool)
    await notifier.run()
    assert await states(pool, jobs) == {"delivered": 10}
    assert await pool.fetchval("select count(*) from lanes") == 0


async def test_given_up(pool: Pool, complete: Complete, notifier: Notifier, other: Receiver) -> None:
    """What has waited for days for an address that gives no answer fails, and says so; an upload also on its job."""
    await other.stop()
    jobs = await completed(complete, notifier, other.url, 6)
    await notifier.run()
    assert await parked(pool) in {1, 2}  # three or four were tried, and another one is the probe
    old = await pool.fetchval("select id from deliveries where parked limit 1")
    await pool.execute("update deliveries set kind = 'upload', due_at = due_at - $1::interval where id = $2", PATIENCE, old)
    await pool.execute("update lanes set shut_until = null")
    await pool.execute("update deliveries set due_at = now() where not parked")
    await pool.execute("update outbox set available_at = now()")
    await notifier.run()

    assert await states(pool, jobs) == {"pending": 5, "failed": 1}
    assert {row["code"] for row in await pool.fetch("select code from deliveries where state = 'failed'")} == {"no_answer"}
    assert await pool.fetchval("select count(*) from jobs where upload->>'code' = 'no_answer'") == 1


async def test_what_a_paused_endpoint_is_to_get_waits(pool: Pool, notifier: Notifier, receiver: Receiver, other: Receiver) -> None:
    """However much, for how long: resuming announces one, and with an answer to it the rest follows. None is given up for its age."""
    endpoint_id = await pool.fetchval(
        "insert into endpoints (id, tenant, url, events, description, status)"
        " values (gen_random_uuid(), 'default', $1, '{job.completed}', '', 'paused') returning id",
        other.url,
    )
    await other.stop()
    async with pool.acquire() as connection:
        for _ in range(10):
            await wanting(connection, None)
            await notifier.take_in(await finished(connection, await claimed(connection)))
        await notifier.run()
        assert await parked(pool) == 10

        await connection.execute("update deliveries set due_at = due_at - $1::interval", 2 * PATIENCE)
        await endpoints.resume(connection, endpoint_id)
        assert await connection.fetchval("select count(*) from outbox where type = 'delivery.due'") == 1
        await notifier.run()
        assert await connection.fetchval("select count(*) from delivery_attempts") == SHUTS_AFTER
        assert await connection.fetchval("select count(*) from deliveries where state = 'pending'") == 10

        await endpoints.replace(connection, endpoint_id, "default", EndpointRequest(url=receiver.url))
        await due_now(pool)
        await notifier.run()
        assert await connection.fetchval("select count(*) from deliveries where state = 'delivered'") == 10
    assert len(receiver.received) == 10


async def test_a_crowd(pool: Pool, complete: Complete, notifier: Notifier, receiver: Receiver) -> None:
    """However messages, their copies and ends of attempts fall together: each is sent once, none forgotten, never too many at once."""
    chance = random.Random(7)  # noqa: S311 - varies the order of things, the same at each run
    at_once: Counter[str] = Counter()
    most = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal most
        at_once[request.host] += 1
        most = max(most, *at_once.values())
        await asyncio.sleep(chance.random() / 100)
        at_once[request.host] -= 1
        return web.Response(status=204)

    receiver.answers.extend([answer] * 200)
    lanes = [receiver.url, receiver.url.replace("127.0.0.1", "localhost")]
    jobs = [job for url in lanes for job in await completed(complete, notifier, url, 30)]
    await pool.execute(
        "insert into outbox (event_id, type, source, subject, body) select event_id, type, source, subject, body from outbox"
        " where type = 'delivery.due'"
    )
    await notifier.run()

    assert await states(pool, jobs) == {"delivered": 60}
    assert len(receiver.received) == 60
    assert 1 < most <= WIDTH
    assert await parked(pool) == 0


async def test_who_dies_takes_no_place_along(pool: Pool, complete: Complete, notifier: Notifier, receiver: Receiver) -> None:
    """The places of a notifier that was killed are free when its claims have run out; a message that comes again goes on with the rest."""
    receiver.answers.extend([receiver.held] * WIDTH)
    jobs = await completed(complete, notifier, receiver.url, 6)
    messages = await notifier.due()
    lost = [asyncio.create_task(notifier.attempts.handle(message)) for message in messages]
    await receiver.wait(WIDTH)
    await until_parked(pool, 6 - WIDTH)
    claims = await pool.fetch("select id, due_at from deliveries where in_flight")
    for task in lost:
        task.cancel()
    await asyncio.gather(*lost, return_exceptions=True)
    for claim in claims:  # as if it had been killed: nothing was given back
        await pool.execute("update deliveries set due_at = $2, in_flight = true where id = $1", claim["id"], claim["due_at"])
    for message in messages:
        await notifier.attempts.handle(message)
    assert len(receiver.received) == WIDTH

    await due_now(pool)
    await notifier.run()
    assert await states(pool, jobs) == {"delivered": 6}
    assert (await delivery(pool, jobs[0])) is not None
