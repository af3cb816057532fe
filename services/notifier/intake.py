"""From a job's event to its deliveries: who wants to hear of it, and the exact bytes that will be sent.

The body is made once, so that every attempt and every replay sends the same. Its `data` is the event's own, byte for byte: webhook and
broker tell the same. Addresses are read from the rows of the job and of its tenant's endpoints, since events do not carry them.
"""

from uuid import UUID

import structlog

from common import webhook
from common.database import Pool
from common.envelope import Event
from common.errors import PermanentError
from common.ids import JobId
from services.notifier import deliveries
from services.notifier.persistence import persist

log = structlog.get_logger(__name__)


class Intake:
    """Handles `notifier.events`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def handle(self, event: Event) -> None:
        """Open the deliveries that are wanted and are not there yet. Raises `PermanentError` for what is no event of a job."""
        job_id = _job_id(event)
        body = webhook.body(event.type, event.time, event.data)
        created = await persist(self._pool, lambda connection: deliveries.create(connection, job_id, event, body))
        for delivery_id in created:
            log.info("webhook due", delivery_id=str(delivery_id), event_type=event.type)


def _job_id(event: Event) -> JobId:
    try:
        return JobId(UUID(event.subject))
    except ValueError:
        raise PermanentError("not_a_job", f"The event's subject is no job id: {event.subject!r}.") from None
