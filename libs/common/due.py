"""`delivery.due`: an attempt at a webhook delivery is to be made. Who asks for one and who makes it meet here."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from common import ids, outbox
from common.database import Connection
from common.ids import EventId, JobId
from common.outbox import News


class Due(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The event's data: the attempt that is to be made, from 1. A duplicate finds it made and changes nothing."""

    delivery_id: UUID
    attempt: int


async def announce(connection: Connection, about: str, due: Due, *, delay: timedelta = timedelta(0)) -> None:
    """Ask for the attempt, within the caller's transaction."""
    await outbox.add(connection, "delivery.due", subject=about, data=msgspec.json.encode(due), delay=delay)


async def announce_all(connection: Connection, attempts: Sequence[tuple[str, Due]]) -> None:
    """Ask for many, each with what it is about, to be made at once."""
    if attempts:
        news = [News(EventId(ids.new()), about, msgspec.json.encode(due), None) for about, due in attempts]
        await outbox.add_many(connection, "delivery.due", news)


def about(job_id: JobId | None, endpoint_id: UUID | None) -> str:
    """The event's subject: the job that the delivery tells of, or, where it tells of none, its endpoint."""
    return f"endpoint/{endpoint_id}" if job_id is None else str(job_id)
