"""The outbox: events wait here, inserted in the same transaction as the change they announce, until a relay has published them.

So there is no change without its event and no event without its change, whatever dies in between. `available_at` in the future makes the
outbox the scheduler as well: a retry, a webhook's next attempt and a delayed sweep are rows that are not due yet, which no restart forgets.
"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import msgspec

from common import ids, tracing
from common.database import Connection, Queries
from common.envelope import Event
from common.ids import EventId

SQL = Queries(Path(__file__).with_name("outbox.sql"))
SOURCE = "/verbatim"


class News(msgspec.Struct, frozen=True):
    """One event of many: its id, what it is about, its data, and the trace that it belongs to."""

    event_id: EventId
    subject: str
    data: bytes
    trace: str | None


async def add(
    connection: Connection,
    event_type: str,
    *,
    subject: str,
    data: bytes,
    delay: timedelta = timedelta(0),
    trace: str | None = None,
    event_id: EventId | None = None,
) -> EventId:
    """Add an event to be published once `delay` has passed.

    It belongs to the current span if that is in the same trace as `trace` (or if there is no `trace`), else to `trace` itself: a sweep
    that touches a hundred jobs must not tie their traces together.
    """
    event_id = event_id or EventId(ids.new())
    await connection.execute(SQL["add_event"], event_id, event_type, SOURCE, subject, data, tracing.current_within(trace), delay)
    return event_id


async def restore(connection: Connection, event: Event) -> None:
    """Have an event published again as what it was: under its id, and of its time."""
    await connection.execute(
        SQL["restore_event"], event.id, event.type, event.source, event.subject, event.data, tracing.current_within(event.trace), event.time
    )


async def add_many(connection: Connection, event_type: str, news: Sequence[News]) -> None:
    """Add events of one type, to be published at once, in one statement however many they are."""
    await connection.execute(
        SQL["add_events"],
        event_type,
        SOURCE,
        [each.event_id for each in news],
        [each.subject for each in news],
        [each.data for each in news],
        [tracing.current_within(each.trace) for each in news],
    )


async def backlog(connection: Connection, limit: int) -> int:
    """How many events wait to be published, as far as that is less than `limit`."""
    waiting: int = await connection.fetchval(SQL["count_due_events"], limit)
    return waiting


async def take(connection: Connection, limit: int) -> list[tuple[int, Event]]:
    """Lock up to `limit` due events, oldest first, leaving out those that another relay has locked."""
    return [
        (
            row["id"],
            Event(
                id=EventId(row["event_id"]),
                type=row["type"],
                source=row["source"],
                subject=row["subject"],
                time=row["created_at"],
                data=row["body"],
                trace=row["trace"],
            ),
        )
        for row in await connection.fetch(SQL["take_events"], limit)
    ]


async def delete(connection: Connection, rows: list[int]) -> None:
    """Forget events that the broker has confirmed."""
    await connection.execute(SQL["delete_events"], rows)


async def postpone(connection: Connection, rows: list[int]) -> None:
    """Put off events that the broker refused, each refusal twice as long, up to a minute."""
    await connection.execute(SQL["postpone_events"], rows)


async def next_due(connection: Connection) -> timedelta | None:
    """How long until an event falls due (zero or less: one is due now); None when there is none."""
    due: timedelta | None = await connection.fetchval(SQL["next_due"])
    return due
