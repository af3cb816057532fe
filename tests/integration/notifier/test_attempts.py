"""One attempt against a real database and a real receiver: made once, whatever arrives twice or goes away meanwhile."""

import asyncio
from datetime import datetime

import msgspec
import pytest
from aiohttp import web

from common import ids
from common.database import Pool
from common.due import Due
from common.envelope import Event
from common.errors import PermanentError
from common.jobs.job import Job
from services.notifier import deliveries
from services.notifier.attempts import Attempts
from services.notifier.intake import Intake
from tests.integration.notifier.conftest import Complete, Delivery, Notifier, Tried, delivery, event
from tests.integration.notifier.receiver import Receiver, answering


@pytest.fixture
def attempts(notifier: Notifier) -> Attempts:
    """Those of a notifier in this process."""
    return notifier.attempts


async def taken_in(pool: Pool, job: Job) -> Event:
    """The `delivery.due` that taking in an event of the job leads to."""
    await Intake(pool).handle(event("job.completed", job, b'{"id":"x"}'))
    [due] = await due_events(pool, job)
    return due


async def due_events(pool: Pool, job: Job) -> list[Event]:
    """What the outbox holds for the notifier's own queue, and empties it of them, as a relay would."""
    rows = await pool.fetch("delete from outbox where type = 'delivery.due' returning body")
    return [event("delivery.due", job, row["body"]) for row in rows]


async def test_the_body_is_the_event_byte_for_byte(pool: Pool, complete: Complete, receiver: Receiver, attempts: Attempts) -> None:
    """What the broker told is what the webhook tells, unknown fields, spacing and all; only type and time are put around it."""
    job = await complete(receiver.url)
    data = '{"id": 1.0,  "new": [1, 2.50, "ü\\u00fc"], "id": "twice"}'.encode()
    happened = event("job.completed", job, data)
    await Intake(pool).handle(happened)

    for due in await due_events(pool, job):
        await attempts.handle(due)

    [received] = receiver.received
    assert received.body.endswith(b',"data":' + data + b"}")
    assert datetime.fromisoformat(received.event["timestamp"]) == happened.time


async def test_an_event_taken_in_twice(pool: Pool, complete: Complete, receiver: Receiver) -> None:
    """The second time finds the delivery there, and announces nothing."""
    job = await complete(receiver.url)
    happened = event("job.completed", job, b"{}")

    await asyncio.gather(*(Intake(pool).handle(happened) for _ in range(5)))

    assert await pool.fetchval("select count(*) from deliveries") == 1
    assert len(await due_events(pool, job)) == 1


async def test_an_event_of_a_job_that_is_gone(pool: Pool, complete: Complete, receiver: Receiver) -> None:
    """Nothing is left to tell, and nothing breaks."""
    job = await complete(receiver.url)
    await pool.execute("delete from jobs")

    await Intake(pool).handle(event("job.completed", job, b"{}"))

    assert await due_events(pool, job) == []


async def test_a_job_that_is_deleted_meanwhile(pool: Pool) -> None:
    """After it was found out which endpoints want to hear of it: no delivery is left whose body tells of a job that is gone."""
    endpoint_id = await pool.fetchval(
        "insert into endpoints (id, tenant, url, events, description) values (gen_random_uuid(), 'default', '', '{}', '') returning id"
    )
    told = (ids.new(), ids.new(), ids.new(), "job.completed", endpoint_id, "thin", b"{}")
    assert await pool.fetchrow(deliveries.SQL["create_endpoint_delivery"], *told) is None
    assert await pool.fetchval("select count(*) from deliveries") == 0


async def test_an_attempt_announced_many_times(pool: Pool, complete: Complete, receiver: Receiver, attempts: Attempts) -> None:
    """Copies that come while the request is under way send nothing. One that was somebody's before, who may be dead, looks again."""
    receiver.answers.append(receiver.held)
    job = await complete(receiver.url)
    due = await taken_in(pool, job)

    first = asyncio.create_task(attempts.handle(due))
    await receiver.wait(1)
    await attempts.handle(due)
    await attempts.handle(msgspec.structs.replace(due, redelivered=True))
    receiver.release.set()
    await first
    await attempts.handle(due)
    later = await due_events(pool, job)
    for copy in later:
        await attempts.handle(copy)

    assert len(later) == 1
    assert len(receiver.received) == 1
    assert await delivery(pool, job) == Delivery("delivered", 1, [Tried(204, "", None)])
    assert await due_events(pool, job) == []


async def test_an_attempt_that_lost_its_claim(pool: Pool, complete: Complete, receiver: Receiver, attempts: Attempts) -> None:
    """Who comes back after its claim ran out, while another makes the attempt, changes nothing and records nothing."""
    go_on = asyncio.Event()

    async def second(_request: web.Request) -> web.Response:
        await go_on.wait()
        return web.Response(text="second")

    receiver.answers.extend([receiver.held, second])
    job = await complete(receiver.url)
    due = await taken_in(pool, job)
    late = asyncio.create_task(attempts.handle(due))
    await receiver.wait(1)
    await pool.execute("update deliveries set due_at = now()")

    other = asyncio.create_task(attempts.handle(due))
    await receiver.wait(2)
    receiver.release.set()
    await late
    go_on.set()
    await other

    assert await delivery(pool, job) == Delivery("delivered", 1, [Tried(200, "second", None)])


async def test_a_message_from_the_past(pool: Pool, complete: Complete, receiver: Receiver, attempts: Attempts) -> None:
    """A failed attempt's message that comes again makes no second one; the next attempt is the outbox's, in its own time."""
    receiver.answers.append(answering(500, "no"))
    job = await complete(receiver.url)
    due = await taken_in(pool, job)
    await attempts.handle(due)
    [following] = await due_events(pool, job)

    await attempts.handle(due)

    assert msgspec.json.decode(following.data, type=Due).attempt == 2
    assert await delivery(pool, job) == Delivery("pending", 1, [Tried(500, "no", None)])
    assert len(receiver.received) == 1


async def test_cancelled(pool: Pool, complete: Complete, receiver: Receiver, attempts: Attempts) -> None:
    """Our own end is no failure of the attempt: it is not spent, and can be made again at once."""
    receiver.answers.append(receiver.held)
    job = await complete(receiver.url)
    due = await taken_in(pool, job)
    task = asyncio.create_task(attempts.handle(due))
    await receiver.wait(1)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await attempts.handle(due)

    assert await delivery(pool, job) == Delivery("delivered", 1, [Tried(204, "", None)])


@pytest.mark.parametrize("data", [b"", b"{}", b'{"delivery_id":"x","attempt":1}', b"\xff"])
async def test_no_attempt_named(pool: Pool, complete: Complete, receiver: Receiver, attempts: Attempts, data: bytes) -> None:
    """A message that names no attempt is poison."""
    with pytest.raises(PermanentError):
        await attempts.handle(event("delivery.due", await complete(receiver.url), data))
