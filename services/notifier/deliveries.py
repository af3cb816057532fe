"""How a delivery changes. Every function is one guarded statement, with its attempt's record and its event, in one transaction.

`attempt` counts the attempts made, and the event `delivery.due` names the one to make: a duplicate finds it made and changes nothing.
While one is being made its claim keeps others from making it too. The claim is the time in `due_at`, and it outlasts the request's own
timeout; so a second copy is sent only when a notifier died after sending and before recording, which no one can tell from before sending.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import assert_never

import msgspec

from common import ids
from common.database import Connection, Queries
from common.due import Due, announce
from common.envelope import Event
from common.ids import DeliveryId, EventId, JobId
from services.notifier.answer import Answer, Answered, Unanswered

SQL = Queries(Path(__file__).with_name("deliveries.sql"))


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A claimed attempt: what to send, where, and until when it is ours. `claimed_at` is the database's clock."""

    id: DeliveryId
    job_id: JobId
    event_id: EventId
    event_type: str
    endpoint: str
    body: bytes
    attempt: int
    claim: datetime
    claimed_at: datetime


async def create(connection: Connection, job_id: JobId, event: Event, body: bytes) -> DeliveryId | None:
    """(new) -> pending, the first attempt due now; None when the job wants none or has it already."""
    async with connection.transaction():
        found = await connection.fetchval(SQL["create_delivery"], ids.new(), job_id, event.id, event.type, body)
        if found is None:
            return None
        delivery_id = DeliveryId(found)
        await announce(connection, job_id, Due(delivery_id, 1))
    return delivery_id


async def claim(connection: Connection, due: Due, *, lease: timedelta) -> Attempt | None:
    """The attempt, ours for `lease`; None when it has been made or is being made."""
    row = await connection.fetchrow(SQL["claim_attempt"], due.delivery_id, due.attempt, lease)
    return None if row is None else msgspec.convert(dict(row), Attempt)


async def look_again(connection: Connection, due: Due) -> timedelta | None:
    """For an attempt that could not be claimed: announce it again for when its claim runs out.

    Whoever holds it may have died, and the message at hand may be the only one left. None when the attempt has been made.
    """
    async with connection.transaction():
        row = await connection.fetchrow(SQL["claimed_for"], due.delivery_id, due.attempt)
        if row is None:
            return None
        wait: timedelta = max(row["wait"], timedelta(0))
        await announce(connection, JobId(row["job_id"]), due, delay=wait)
    return wait


async def deliver(connection: Connection, attempt: Attempt, answer: Answer, elapsed: timedelta) -> bool:
    """pending -> delivered; False when the attempt is no longer ours."""
    async with connection.transaction():
        return await _record(connection, "deliver", attempt, answer, elapsed)


async def retry(connection: Connection, attempt: Attempt, answer: Answer, elapsed: timedelta, delay: timedelta) -> bool:
    """pending -> pending, the next attempt due after `delay`; False when the attempt is no longer ours."""
    async with connection.transaction():
        ours = await _record(connection, "retry", attempt, answer, elapsed, delay)
        if ours:
            await announce(connection, attempt.job_id, Due(attempt.id, attempt.attempt + 1), delay=delay)
    return ours


async def fail(connection: Connection, attempt: Attempt, answer: Answer, elapsed: timedelta) -> bool:
    """pending -> failed; False when the attempt is no longer ours."""
    async with connection.transaction():
        return await _record(connection, "fail", attempt, answer, elapsed)


async def release(connection: Connection, attempt: Attempt) -> bool:
    """Give a claimed attempt back without spending it; its message, still unacked, brings it to another notifier."""
    return await connection.fetchval(SQL["release"], attempt.id, attempt.attempt, attempt.claim) is not None


async def _record(
    connection: Connection, transition: str, attempt: Attempt, answer: Answer, elapsed: timedelta, *arguments: object
) -> bool:
    """Make a guarded transition inside the caller's transaction and log the attempt that led to it."""
    if await connection.fetchval(SQL[transition], attempt.id, attempt.attempt, attempt.claim, *arguments) is None:
        return False
    match answer:
        case Answered(status=status, beginning=beginning):
            came: tuple[int | None, str | None, str | None] = (status, beginning, None)
        case Unanswered(error=error):
            came = (None, None, error)
        case _:
            assert_never(answer)
    await connection.execute(
        SQL["record_attempt"],
        attempt.id,
        attempt.attempt,
        attempt.claimed_at,
        round(elapsed / timedelta(milliseconds=1)),
        *came,
    )
    return True
