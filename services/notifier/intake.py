"""From a job's event to a delivery: who wants to hear of it, and the exact bytes that will be sent.

The body is made once, so that every attempt and every replay sends the same. Its `data` is the event's own, byte for byte: webhook and
broker tell the same. The address is read from the job's row, since events do not carry it.
"""

from datetime import datetime
from uuid import UUID

import msgspec
import structlog

from common.database import Pool
from common.envelope import Event
from common.errors import PermanentError
from common.ids import JobId
from services.notifier import deliveries
from services.notifier.persistence import persist

log = structlog.get_logger(__name__)


class Payload(msgspec.Struct, frozen=True):
    """A webhook's body; `timestamp` is when it happened, which a late attempt does not change."""

    type: str
    timestamp: datetime
    data: msgspec.Raw


class Intake:
    """Handles `notifier.events`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def handle(self, event: Event) -> None:
        """Open a delivery, if one is wanted and there is none yet. Raises `PermanentError` for what is no event of a job."""
        job_id = _job_id(event)
        body = msgspec.json.encode(Payload(event.type, event.time, msgspec.Raw(event.data)))
        created = await persist(self._pool, lambda connection: deliveries.create(connection, job_id, event, body))
        if created is not None:
            log.info("webhook due", delivery_id=str(created), event_type=event.type)


def _job_id(event: Event) -> JobId:
    try:
        return JobId(UUID(event.subject))
    except ValueError:
        raise PermanentError("not_a_job", f"The event's subject is no job id: {event.subject!r}.") from None
