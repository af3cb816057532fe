"""One address that is slow or dead delays no other, and is not called more often than it can bear."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest
from aiohttp import web

from common import ids
from common.database import Connection, Pool
from common.due import Due, about, announce
from common.envelope import Event
from common.jobs.job import Job
from common.storage import Storage
from services.ingest.webhooks import store as endpoints
from services.ingest.webhooks.store import EndpointRequest
from services.notifier import lanes
from services.notifier.attempts import Attempts
from services.notifier.health import PATIENCE
from services.notifier.lanes import SHUTS_AFTER
from services.notifier.outgoing import Outgoing
from tests.integration.notifier.conftest import PATIENT, Complete, Notifier, due_now, wanting
from tests.integration.notifier.receiver import Receiver, answering, receiving
from tests.jobs import claimed, finished
from tests.running import wait_until

WIDTH = 4

_SLOW_CLAIMS = """
    create function wait_for_the_test() returns trigger language plpgsql as $$
        begin perform pg_advisory_xact_lock_shared(1); return new; end
    $$;
    create trigger wait_for_the_test before update on deliveries for each row execute function wait_for_the_test();
"""
"""Whoever has chosen what to claim claims it when nobody has the advisory lock 1 any more, however many have chosen meanwhile."""


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


async def waiting(pool: Pool) -> int:
    """How many are due and not under way."""
    found: int = await pool.fetchval("select count(*) from deliveries where state = 'pending' and due_at <= now()")
    return found


async def announced(pool: Pool) -> int:
    found: int = await pool.fetchval("select count(*) from outbox where type = 'delivery.due'")
    return found


async def until_held_up(connection: Connection, count: int) -> None:
    """Until so many transactions wait for a lock, as for one that `connection` has."""

    async def there() -> bool:
        held_up: int = await connection.fetchval(
            "select count(*) from pg_locks join pg_database on pg_database.oid = database"
            " where not granted and datname = current_database()"
        )
        return held_up == count

    await wait_until(there, f"{count} claims to wait")


async def all_committed(connection: Connection) -> bool:
    """Whether those are done who waited for the advisory lock 1."""
    return not await connection.fetchval(
        "select count(*) from pg_locks join pg_database on pg_database.oid = database"
        " where locktype = 'advisory' and objid = 1 and datname = current_database()"
    )


async def falls_due(pool: Pool, tenant: str, url: str, count: int) -> None:
    """So much for a new endpoint of the tenant, which is a lane of its own."""
    async with pool.acquire() as connection, connection.transaction():
        endpoint = await connection.fetchval(
            "insert into endpoints (id, tenant, url, events, description) values (gen_random_uuid(), $1, $2, '{job.completed}', '')"
            " returning id",
            tenant,
            url,
        )
        for delivery in [ids.new() for _ in range(count)]:
            await connection.execute(
                "insert into deliveries (id, event_id, event_type, endpoint_id, endpoint, lane, body)"
                " values ($1, $1, 'job.completed', $2, $3, lane_of($2, '', ''), '{}')",
                delivery,
                endpoint,
                url,
            )
            await announce(connection, about(None, endpoint), Due(delivery, 1))


async def handled(attempts: Attempts, messages: list[Event]) -> None:
    """Deal with each, one after the other: nothing is left in hand."""
    for message in messages:
        await attempts.handle(message)


async def test_no_more_than_its_places(pool: Pool, complete: Complete, notifier: Notifier, receiver: Receiver, other: Receiver) -> None:
    """A slow address has a few requests at a time, the rest waits without a slot or a message; others get theirs meanwhile."""
    receiver.answers.extend([receiver.held] * 10)
    slow = await completed(complete, notifier, receiver.url, 10)
    messages = await notifier.due()
    running = [asyncio.create_task(notifier.attempts.handle(message)) for message in messages[:WIDTH]]
    await receiver.wait(WIDTH)
    await handled(notifier.attempts, messages[WIDTH:])
    assert await waiting(pool) == 10 - WIDTH

    quick = await completed(complete, notifier, other.url, 3)
    await notifier.run()
    assert await states(pool, quick) == {"delivered": 3}
    assert len(receiver.received) == WIDTH

    receiver.release.set()
    await asyncio.gather(*running)
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
    assert await pool.fetchval("select array_agg(shut_until - failed_at) from lanes") == [timedelta(seconds=30)]
    await pool.execute("update lanes set shut_until = shut_until + interval '1 hour', probe_at = probe_at + interval '1 hour'")
    await pool.execute("update outbox set available_at = (select probe_at from lanes) where available_at < now() + interval '1 minute'")

    assert await states(pool, await completed(complete, notifier, others, 1)) == {"pending": 1}
    await pool.execute("update deliveries set due_at = now() where state = 'pending'")
    await pool.execute("update outbox set available_at = now() where available_at <> (select probe_at from lanes)")
    await notifier.run()  # the attempts that are repeated find it shut
    assert await pool.fetchval("select count(*) from delivery_attempts where status is null") == tried
    assert await waiting(pool) == 10
    [probe] = await pool.fetch("select available_at = (select shut_until from lanes) as in_time from outbox where type = 'delivery.due'")
    assert probe["in_time"]

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
    old = await pool.fetch("select id from deliveries where due_at <= now() order by due_at, id")
    assert len(old) in {2, 3}  # three or four were tried, and the first of the others is the probe
    await pool.execute("update deliveries set due_at = due_at - $1::interval where due_at <= now()", PATIENCE)
    await pool.execute("update deliveries set kind = 'upload' where id = $1", old[-1]["id"])
    await pool.execute("update lanes set shut_until = null")
    await pool.execute("update deliveries set due_at = now() where due_at > now()")
    await pool.execute("update outbox set available_at = now()")
    await notifier.run()

    assert await states(pool, jobs) == {"pending": 7 - len(old), "failed": len(old) - 1}
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
        assert (await waiting(pool), await announced(pool)) == (10, 0)

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


async def test_a_crowd(pool: Pool, complete: Complete, outgoing: Outgoing, storage: Storage, receiver: Receiver) -> None:
    """However messages, their copies and ends of attempts fall together: each is sent once, none forgotten, never too many at once.

    Two notifiers share the lanes, with fewer places for the tenant than he has in them.
    """
    notifier, beside = (Notifier(pool, outgoing, storage, schedule=PATIENT, places=5) for _ in range(2))
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
    urls = [receiver.url, receiver.url.replace("127.0.0.1", "localhost")]
    jobs = [job for url in urls for job in await completed(complete, notifier, url, 30)]
    await pool.execute(
        "insert into outbox (event_id, type, source, subject, body) select event_id, type, source, subject, body from outbox"
        " where type = 'delivery.due'"
    )
    await notifier.run(beside)

    assert await states(pool, jobs) == {"delivered": 60}
    assert len(receiver.received) == 60
    assert 1 < most <= WIDTH


async def test_two_at_the_same_moment(
    pool: Pool, complete: Complete, notifier: Notifier, outgoing: Outgoing, storage: Storage, receiver: Receiver, other: Receiver
) -> None:
    """Of two notifiers who come for the places of one lane together, one has them; the other has what it came for elsewhere."""
    receiver.answers.extend([receiver.held] * 10)
    beside = Notifier(pool, outgoing, storage, schedule=PATIENT)
    jobs = await completed(complete, notifier, receiver.url, 8)
    messages = await notifier.due()
    elsewhere = await completed(complete, notifier, other.url, 1)
    await pool.execute(_SLOW_CLAIMS)
    async with pool.acquire() as connection:
        await connection.execute("select pg_advisory_lock(1)")
        running = [asyncio.create_task(notifier.attempts.handle(message)) for message in messages[:WIDTH]]
        await until_held_up(connection, 1)
        running += [asyncio.create_task(beside.attempts.handle(message)) for message in [*messages[WIDTH:], *await notifier.due()]]
        await until_held_up(connection, 2)
        await connection.execute("select pg_advisory_unlock(1)")
        await wait_until(lambda: all_committed(connection), "both to have claimed")
    await other.wait(1)
    await receiver.wait(WIDTH)
    under_way = "select count(*) from deliveries where in_flight and state = 'pending' and job_id = any($1)"
    assert await pool.fetchval(under_way, [job.id for job in jobs]) == WIDTH
    receiver.release.set()
    await asyncio.gather(*running)
    assert await states(pool, [*jobs, *elsewhere]) == {"delivered": 9}


async def test_who_dies_takes_no_place_along(pool: Pool, complete: Complete, notifier: Notifier, receiver: Receiver) -> None:
    """The places of a notifier that was killed are free when its claims have run out; a message that comes again goes on with the rest."""
    receiver.answers.extend([receiver.held] * WIDTH)
    jobs = await completed(complete, notifier, receiver.url, 6)
    messages = await notifier.due()
    tasks = [asyncio.create_task(notifier.attempts.handle(message)) for message in messages]
    await receiver.wait(WIDTH)
    _, lost = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    while len(lost) > WIDTH:
        _, lost = await asyncio.wait(lost, return_when=asyncio.FIRST_COMPLETED)
    unacked = [msgspec.structs.replace(message, redelivered=True) for message, task in zip(messages, tasks, strict=True) if task in lost]
    claims = await pool.fetch("select id, due_at from deliveries where in_flight")
    for task in lost:
        task.cancel()
    await asyncio.gather(*lost, return_exceptions=True)
    for claim in claims:  # as if it had been killed: nothing was given back
        await pool.execute("update deliveries set due_at = $2, in_flight = true where id = $1", claim["id"], claim["due_at"])
    await handled(notifier.attempts, unacked)
    assert len(receiver.received) == WIDTH

    await due_now(pool)
    await notifier.run()
    assert await states(pool, jobs) == {"delivered": 6}


async def test_who_dies_in_the_middle_of_many(pool: Pool, complete: Complete, notifier: Notifier, receiver: Receiver) -> None:
    """A message goes on with others than the one it names; when it comes again, that what its holder had claimed is looked at in time."""
    receiver.answers.extend([answering(204), receiver.held])
    jobs = await completed(complete, notifier, receiver.url, 2)
    [message, _acked] = await notifier.due()
    task = asyncio.create_task(notifier.attempts.handle(message))
    await receiver.wait(2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await pool.execute("update deliveries set due_at = now() + interval '1 hour', in_flight = true where state = 'pending'")

    await notifier.attempts.handle(message)
    assert await announced(pool) == 0
    await notifier.attempts.handle(msgspec.structs.replace(message, redelivered=True))
    [again] = await pool.fetch("select available_at - now() as wait from outbox where type = 'delivery.due'")
    assert timedelta(minutes=50) < again["wait"] <= timedelta(hours=1)
    await due_now(pool)
    await notifier.run()
    assert await states(pool, jobs) == {"delivered": 2}


async def test_a_lane_in_which_another_is(pool: Pool, complete: Complete, notifier: Notifier, receiver: Receiver, other: Receiver) -> None:
    """Whoever keeps one locked holds up nobody else; when he leaves it goes on by itself."""
    [here], [there] = [await completed(complete, notifier, found.url, 1) for found in (receiver, other)]
    async with pool.acquire() as connection, connection.transaction():
        lane = await connection.fetchval("select lane from deliveries where job_id = $1", here.id)
        await lanes.lock(connection, lane)
        running = asyncio.create_task(notifier.run())
        await other.wait(1)
        assert not receiver.received
    await running
    assert await states(pool, [here, there]) == {"delivered": 2}


async def test_taking_turns(pool: Pool, complete: Complete, notifier: Notifier, receiver: Receiver) -> None:
    """One message does not go on for ever with a lane that has much: the rest is announced behind what others have."""
    jobs = await completed(complete, notifier, receiver.url, 18)
    [message, *_acked] = await notifier.due()
    await notifier.attempts.handle(message)
    assert (len(receiver.received), await waiting(pool), await announced(pool)) == (16, 2, 1)
    await notifier.run()
    assert await states(pool, jobs) == {"delivered": 18}


async def test_stopping(pool: Pool, complete: Complete, notifier: Notifier, receiver: Receiver) -> None:
    """What is under way is finished, nothing else begun; what waits is announced, for another to go on, and nothing stays claimed."""
    receiver.answers.append(receiver.held)
    await completed(complete, notifier, receiver.url, 3)
    [message, *_acked] = await notifier.due()
    running = asyncio.create_task(notifier.attempts.handle(message))
    await receiver.wait(1)
    notifier.stopping.set()
    receiver.release.set()
    await running
    assert (len(receiver.received), await waiting(pool), await announced(pool)) == (1, 2, 1)


async def test_stopping_at_the_moment_of_the_claim(pool: Pool, complete: Complete, notifier: Notifier, receiver: Receiver) -> None:
    """What was being claimed for somebody who is not there any more is given back."""
    await completed(complete, notifier, receiver.url, 2)
    messages = await notifier.due()
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("lock table deliveries in share mode")
        tasks = [asyncio.create_task(notifier.attempts.handle(message)) for message in messages]
        await until_held_up(connection, 1)
        for task in tasks:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (len(receiver.received), await waiting(pool)) == (0, 2)


async def test_a_tenant_with_many_slow_addresses(
    pool: Pool, outgoing: Outgoing, storage: Storage, receiver: Receiver, other: Receiver
) -> None:
    """He has three quarters of the places and no more, none of his messages waits in another, and who comes later finds one.

    What was held back is delivered when the slow ones answer.
    """
    notifier = Notifier(pool, outgoing, storage, schedule=PATIENT, places=8)
    receiver.answers.extend([receiver.held] * 30)
    for _ in range(5):
        await falls_due(pool, "slow", receiver.url, 6)
    running = [asyncio.create_task(notifier.attempts.handle(message)) for message in await notifier.due()]
    await wait_until(lambda: sum(not task.done() for task in running) == 6, "the messages that find no place to be dealt with")
    await receiver.wait(6)
    await falls_due(pool, "quick", other.url, 3)
    await handled(notifier.attempts, await notifier.due())
    assert (len(receiver.received), len(other.received), await waiting(pool)) == (6, 3, 24)

    receiver.release.set()
    await notifier.run()
    await asyncio.gather(*running)
    await notifier.run()
    assert await pool.fetchval("select count(*) from deliveries where state = 'delivered'") == 33


async def test_stopping_while_some_are_held_back(pool: Pool, outgoing: Outgoing, storage: Storage, receiver: Receiver) -> None:
    """Their lanes are announced for another notifier."""
    notifier = Notifier(pool, outgoing, storage, schedule=PATIENT, places=2)
    receiver.answers.append(receiver.held)
    for _ in range(3):
        await falls_due(pool, "slow", receiver.url, 1)
    first, *others = await notifier.due()
    running = asyncio.create_task(notifier.attempts.handle(first))
    await receiver.wait(1)
    await handled(notifier.attempts, others)
    assert (await waiting(pool), await announced(pool)) == (2, 0)
    notifier.stopping.set()
    receiver.release.set()
    await running
    assert (await waiting(pool), await announced(pool)) == (2, 2)


async def test_lanes_that_another_notifier_goes_on_with(pool: Pool, outgoing: Outgoing, storage: Storage, receiver: Receiver) -> None:
    """Whose turn ends there leaves none of its tenant's lanes waiting in a process where no attempt of his ends any more."""
    notifier, beside = Notifier(pool, outgoing, storage, schedule=PATIENT, places=2), Notifier(pool, outgoing, storage, schedule=PATIENT)
    receiver.answers.append(receiver.held)
    await falls_due(pool, "slow", receiver.url, 20)
    [first, *_acked] = await notifier.due()
    running = asyncio.create_task(notifier.attempts.handle(first))
    await receiver.wait(1)
    for _ in range(3):
        await falls_due(pool, "slow", receiver.url, 1)
    await handled(notifier.attempts, await notifier.due())
    assert (await waiting(pool), await announced(pool)) == (22, 0)
    receiver.release.set()
    await running
    assert await waiting(pool) == 7
    await beside.run()
    assert await waiting(pool) == 0


async def test_a_lane_that_is_full_is_not_held_back(pool: Pool, outgoing: Outgoing, storage: Storage, receiver: Receiver) -> None:
    """Where another notifier has all its places, a tenant's share is no matter: who makes an attempt there goes on with it."""
    notifier, beside = Notifier(pool, outgoing, storage, schedule=PATIENT), Notifier(pool, outgoing, storage, schedule=PATIENT, places=3)
    receiver.answers.extend([receiver.held] * WIDTH)
    await falls_due(pool, "slow", receiver.url, 2 * WIDTH)
    messages = await notifier.due()
    running = [asyncio.create_task(notifier.attempts.handle(message)) for message in messages[:WIDTH]]
    await receiver.wait(WIDTH)
    await asyncio.gather(*(beside.attempts.handle(message) for message in messages[WIDTH:]))
    assert (await waiting(pool), await announced(pool)) == (WIDTH, 0)
    receiver.release.set()
    await asyncio.gather(*running)
    assert (await waiting(pool), len(receiver.received)) == (0, 2 * WIDTH)


async def test_what_breaks_a_claim(pool: Pool, complete: Complete, notifier: Notifier, receiver: Receiver, other: Receiver) -> None:
    """It is broken for whoever asked for that, and not for those who asked at the same moment."""
    [broken], whole = [await completed(complete, notifier, url, count) for url, count in ((other.url, 1), (receiver.url, 3))]
    await pool.execute("update deliveries set form = 'unheard of' where job_id = $1", broken.id)
    outcomes = await asyncio.gather(*(notifier.attempts.handle(message) for message in await notifier.due()), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [msgspec.ValidationError]
    assert await states(pool, whole) == {"delivered": 3}
