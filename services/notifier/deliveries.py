"""How a delivery changes. Every function is one guarded statement, with its attempt's record and its event, in one transaction.

`attempt` counts the attempts made, and the event `delivery.due` names the one to make: a duplicate finds it made and changes nothing.
While one is being made its claim keeps others from making it too. The claim is the time in `due_at`, and it outlasts the request's own
timeout; so a second copy is sent only when a notifier died after sending and before recording, which no one can tell from before sending.

What an attempt says of its endpoint is written in the same transaction, and the endpoint's row is locked first, so that two never wait for
each other.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import assert_never
from uuid import UUID

import msgspec
import structlog

from common import ids, outbox
from common.database import Connection, Queries
from common.due import Due, about, announce
from common.envelope import Event
from common.ids import DeliveryId, EventId, JobId
from common.webhook import ENDS, Disabled, shown
from services.notifier.answer import Answer, Answered, Unanswered
from services.notifier.health import reason_to_disable

log = structlog.get_logger(__name__)

SQL = Queries(Path(__file__).with_name("deliveries.sql"))


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A claimed attempt: what to send, where, and until when it is ours. `claimed_at` is the database's clock.

    Without an `endpoint_id` it goes to the job's own URL. No `secrets`: those of the service sign it.
    """

    id: DeliveryId
    job_id: JobId | None
    endpoint_id: UUID | None
    event_id: EventId
    event_type: str
    endpoint: str
    body: bytes
    attempt: int
    claim: datetime
    claimed_at: datetime
    secrets: tuple[str, ...]

    @property
    def about(self) -> str:
        """The subject of its events."""
        return about(self.job_id, self.endpoint_id)


async def create(connection: Connection, job_id: JobId, event: Event, body: bytes) -> list[DeliveryId]:
    """(new) -> pending, the first attempt due now: one for each of the tenant's endpoints that want the event, and the job's own.

    Without those that are there already. For an endpoint that is disabled (new) -> failed, which is not announced.
    """
    made: list[DeliveryId] = []
    async with connection.transaction():
        for found in await connection.fetch(SQL["endpoints_of_event"], job_id, event.type):
            row = await connection.fetchrow(SQL["create_endpoint_delivery"], ids.new(), job_id, event.id, event.type, found["id"], body)
            made += [] if row is None or row["state"] == "failed" else [DeliveryId(row["id"])]
        if event.type in ENDS:
            row = await connection.fetchrow(SQL["create_delivery"], ids.new(), job_id, event.id, event.type, body)
            made += [] if row is None else [DeliveryId(row["id"])]
        for delivery_id in made:
            await announce(connection, str(job_id), Due(delivery_id, 1))
    return made


async def claim(connection: Connection, due: Due, *, lease: timedelta) -> Attempt | None:
    """The attempt, ours for `lease`; None when it has been made, is being made, or its endpoint is paused."""
    row = await connection.fetchrow(SQL["claim_attempt"], due.delivery_id, due.attempt, lease)
    return None if row is None else msgspec.convert(dict(row), Attempt)


async def look_again(connection: Connection, due: Due) -> timedelta | None:
    """For an attempt that could not be claimed: announce it again for when its claim runs out.

    Whoever holds it may have died, and the message at hand may be the only one left. None when the attempt has been made, or is not to be
    made for now.
    """
    async with connection.transaction():
        row = await connection.fetchrow(SQL["claimed_for"], due.delivery_id, due.attempt)
        if row is None:
            return None
        wait: timedelta = max(row["wait"], timedelta(0))
        await announce(connection, about(row["job_id"], row["endpoint_id"]), due, delay=wait)
    return wait


async def deliver(connection: Connection, attempt: Attempt, answer: Answer, elapsed: timedelta) -> bool:
    """pending -> delivered; False when the attempt is no longer ours."""
    async with connection.transaction():
        if attempt.endpoint_id is not None:
            await connection.execute(SQL["recover"], attempt.endpoint_id)
        return await _record(connection, "deliver", attempt, answer, elapsed)


async def retry(connection: Connection, attempt: Attempt, answer: Answer, elapsed: timedelta, delay: timedelta) -> bool:
    """pending -> pending, the next attempt due after `delay`; False when the attempt is no longer ours."""
    async with connection.transaction():
        reason = await _held_against(connection, attempt, answer)
        ours = await _record(connection, "retry", attempt, answer, elapsed, delay)
        if ours and reason is not None:
            await _disable(connection, attempt, reason)
        elif ours:
            await announce(connection, attempt.about, Due(attempt.id, attempt.attempt + 1), delay=delay)
    return ours


async def fail(connection: Connection, attempt: Attempt, answer: Answer, elapsed: timedelta) -> bool:
    """pending -> failed; False when the attempt is no longer ours."""
    async with connection.transaction():
        reason = await _held_against(connection, attempt, answer)
        ours = await _record(connection, "fail", attempt, answer, elapsed)
        if ours and reason is not None:
            await _disable(connection, attempt, reason)
    return ours


async def release(connection: Connection, attempt: Attempt) -> bool:
    """Give a claimed attempt back without spending it; its message, still unacked, brings it to another notifier."""
    return await connection.fetchval(SQL["release"], attempt.id, attempt.attempt, attempt.claim) is not None


async def _held_against(connection: Connection, attempt: Attempt, answer: Answer) -> str | None:
    """Lock the endpoint of a failed attempt and note since when it fails; why it is to be disabled, if it is."""
    if attempt.endpoint_id is None:
        return None
    row = await connection.fetchrow(SQL["lock_endpoint"], attempt.endpoint_id)
    if row is None or row["status"] == "disabled":
        return None
    await connection.execute(SQL["begin_failing"], attempt.endpoint_id)
    return reason_to_disable(answer, failing_since=row["failing_since"], now=row["now"])


async def _disable(connection: Connection, attempt: Attempt, reason: str) -> None:
    """enabled | paused -> disabled, and what waits for it fails."""
    row = await connection.fetchrow(SQL["disable"], attempt.endpoint_id, reason)
    assert row is not None  # locked by `_held_against`, and not disabled
    await connection.execute(SQL["fail_pending"], attempt.endpoint_id)
    told = Disabled(
        id=row["id"], tenant=row["tenant"], url=shown(row["url"]), reason=reason, links={"webhook": f"/api/v1/webhooks/{row['id']}"}
    )
    await outbox.add(connection, "webhook.disabled", subject=str(row["id"]), data=msgspec.json.encode(told))
    log.warning("endpoint disabled", endpoint_id=str(attempt.endpoint_id), reason=reason)


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
