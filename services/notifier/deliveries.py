"""How a delivery changes. Every function is one guarded statement, with its attempt's record and its event, in one transaction.

`attempt` counts the attempts made, and the event `delivery.due` names one to make: a duplicate finds it made and changes nothing.
While one is being made its claim keeps others from making it too. The claim is the time in `due_at`, and it outlasts the request's own
timeout; so a second copy is sent only when a notifier died after sending and before recording, which no one can tell from before sending.

What an attempt says of its endpoint and of its lane is written in the same transaction. Whoever may close the lane locks it first; then
comes the endpoint's row, or that of the job which is told of its upload, then the delivery's, then the lane's own, so that no two wait for
each other.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, assert_never
from uuid import UUID

import msgspec
import structlog

from common import ids, outbox
from common.database import Connection, Queries
from common.due import Due, about, announce, announce_all
from common.envelope import Event
from common.ids import DeliveryId, EventId, JobId
from common.jobs import store
from common.jobs.job import Job, Upload, from_row
from common.webhook import ENDS, TEST, Disabled, OwnForm, shown
from services.notifier import lanes
from services.notifier.answer import Answer, Answered, Failed, Unanswered
from services.notifier.health import reason_to_disable

log = structlog.get_logger(__name__)

SQL = Queries(Path(__file__).with_name("deliveries.sql"))


Kind = Literal["webhook", "upload"]


class Wanted(msgspec.Struct, frozen=True):
    """A delivery that an event asks for; without an `endpoint_id` to a URL that the job itself gave."""

    kind: Kind
    endpoint_id: UUID | None
    form: OwnForm


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A claimed attempt: what to send, where, and until when it is ours. `claimed_at` is the database's clock.

    `attempt` is its number among all that were made at the delivery, `turn` among those since it was last asked for; since
    `postponed_since` it could not be made, for a reason of our own. Without an `endpoint_id` it goes to the job's own URL. No `secrets`:
    those of the service sign it. `trace` is its job's.
    """

    id: DeliveryId
    job_id: JobId | None
    endpoint_id: UUID | None
    event_id: EventId
    event_type: str
    kind: Kind
    form: OwnForm
    endpoint: str
    lane: str
    tenant: str
    body: bytes
    attempt: int
    turn: int
    postponed_since: datetime | None
    claim: datetime
    claimed_at: datetime
    trace: str | None
    secrets: tuple[str, ...]

    @property
    def about(self) -> str:
        """The subject of its events."""
        return about(self.job_id, self.endpoint_id)


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """For how long an attempt of each kind is claimed, how many a lane has place for, and how many there are places for in all."""

    webhook: timedelta
    upload: timedelta
    width: int
    places: int


async def wanted(connection: Connection, job_id: JobId, event_type: str) -> list[Wanted]:
    """Who is to be told of the event, and how."""
    rows = await connection.fetch(SQL["wanted"], job_id, event_type, event_type in ENDS)
    return [msgspec.convert(dict(row), Wanted) for row in rows]


async def create(connection: Connection, job_id: JobId, event: Event, body: bytes) -> list[DeliveryId]:
    """(new) -> pending, the first attempt due now: one for each of the tenant's endpoints that want the event, and the job's own.

    Without those that are there already. For an endpoint that is disabled (new) -> failed, which is not announced.
    """
    made: list[DeliveryId] = []
    async with connection.transaction():
        for found in await wanted(connection, job_id, event.type):
            new = (ids.new(), job_id, event.id, event.type)
            if found.endpoint_id is not None:
                row = await connection.fetchrow(SQL["create_endpoint_delivery"], *new, found.endpoint_id, found.form, body)
            else:
                sent = b"" if found.kind == "upload" else body
                row = await connection.fetchrow(SQL["create_delivery"], *new, found.kind, found.form, sent)
            made += [] if row is None or row["state"] == "failed" else [DeliveryId(row["id"])]
        await announce_all(connection, [(str(job_id), Due(delivery_id, 1)) for delivery_id in made])
    return made


async def job_of(connection: Connection, attempt: Attempt) -> Job | None:
    """The job that the delivery tells of, as it is now."""
    row = await connection.fetchrow(SQL["job_of_delivery"], attempt.job_id)
    return None if row is None else from_row(row)


async def deliver(
    connection: Connection, attempt: Attempt, answer: Answer, elapsed: timedelta, bounds: Bounds, *, keep: timedelta | None = None
) -> bool:
    """pending -> delivered; False when the attempt is no longer ours. `keep` the result for as long as a link to it shall work."""
    async with connection.transaction():
        await _lock_told(connection, attempt)
        if attempt.endpoint_id is not None:
            await connection.execute(SQL["recover"], attempt.endpoint_id)
        at = await _record(connection, "deliver", attempt, answer, elapsed, keep)
        if at is not None:
            await _tell(connection, attempt, Upload(state="delivered", at=at))
        await _leave(connection, attempt, answer, bounds)
    return at is not None


async def retry(connection: Connection, attempt: Attempt, answer: Answer, elapsed: timedelta, bounds: Bounds, delay: timedelta) -> bool:
    """pending -> pending, the next attempt due after `delay`; False when the attempt is no longer ours."""
    async with connection.transaction():
        await lanes.lock(connection, attempt.lane)
        await _lock_told(connection, attempt)
        reason = await _held_against(connection, attempt, answer)
        ours = await _record(connection, "retry", attempt, answer, elapsed, delay) is not None
        if ours and reason is not None:
            await _disable(connection, attempt, reason)
        elif ours:
            await announce(connection, attempt.about, Due(attempt.id, attempt.attempt + 1), delay=delay)
        await _leave(connection, attempt, answer, bounds)
    return ours


async def fail(connection: Connection, attempt: Attempt, answer: Answer, elapsed: timedelta, bounds: Bounds, why: Failed) -> bool:
    """pending -> failed; False when the attempt is no longer ours."""
    async with connection.transaction():
        await lanes.lock(connection, attempt.lane)
        await _lock_told(connection, attempt)
        reason = await _held_against(connection, attempt, answer)
        at = await _record(connection, "fail", attempt, answer, elapsed, why.code)
        if at is not None:
            await _tell(connection, attempt, Upload(state="failed", code=why.code, at=at))
            if reason is not None:
                await _disable(connection, attempt, reason)
        await _leave(connection, attempt, answer, bounds)
    return at is not None


async def postpone(connection: Connection, attempt: Attempt, delay: timedelta) -> bool:
    """pending -> pending, the same attempt due after `delay`; False when it is no longer ours. It says nothing of its lane or endpoint."""
    async with connection.transaction():
        ours = await connection.fetchval(SQL["postpone"], attempt.id, attempt.attempt, attempt.claim, delay) is not None
        if ours:
            await announce(connection, attempt.about, Due(attempt.id, attempt.attempt), delay=delay)
    return ours


async def release(connection: Connection, attempt: Attempt) -> bool:
    """Give a claimed attempt back without spending it; the message that it was claimed with, still unacked, comes to another notifier."""
    return await connection.fetchval(SQL["release"], attempt.id, attempt.attempt, attempt.claim) is not None


async def _lock_told(connection: Connection, attempt: Attempt) -> None:
    """The job that will be told."""
    if attempt.kind == "upload" and attempt.job_id is not None:
        await store.lock(connection, attempt.job_id)


async def _tell(connection: Connection, attempt: Attempt, upload: Upload) -> None:
    """What came of an upload is shown by its job."""
    if attempt.kind == "upload" and attempt.job_id is not None:
        await store.tell_upload(connection, attempt.job_id, upload)


async def _leave(connection: Connection, attempt: Attempt, answer: Answer, bounds: Bounds) -> None:
    """Silence is held against the lane; what can never be called says nothing of it, nor does what we could not send."""
    silent = isinstance(answer, Unanswered) and answer.code is None and not answer.ours
    await lanes.leave(connection, attempt.lane, answered=not silent, width=bounds.width)


async def _held_against(connection: Connection, attempt: Attempt, answer: Answer) -> str | None:
    """Lock the endpoint of a failed attempt and note since when it fails, and that it did today; why it is to be disabled, if it is."""
    if attempt.endpoint_id is None:
        return None
    row = await connection.fetchrow(SQL["lock_endpoint"], attempt.endpoint_id)
    if row is None or row["status"] == "disabled":
        return None
    if attempt.event_type == TEST:
        return reason_to_disable(answer, failing_for=timedelta(0), days=0)
    now, since, before = row["now"], row["failing_since"] or row["now"], row["failed_on"] if row["failing_since"] else []
    days = sorted({*before, now.date()})
    if days != before:
        await connection.execute(SQL["hold_against"], attempt.endpoint_id, since, days)
    return reason_to_disable(answer, failing_for=now - since, days=len(days))


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
) -> datetime | None:
    """Make a guarded transition inside the caller's transaction and log the attempt that led to it; returns when, None if not ours."""
    at: datetime | None = await connection.fetchval(SQL[transition], attempt.id, attempt.attempt, attempt.claim, *arguments)
    if at is None:
        return None
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
    return at
