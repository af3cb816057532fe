"""Messages that were given up are counted and told, and stay where they are for a person to look at.

No job is failed for one. A token is not tied to the job it names: who took it had claimed the best job there was, so the job in the message
is most likely not the one that took its workers down. That one ends by its attempts being used up, and the job in the message gets a new
token from the reissue. Messages are not taken out to be read, as brokers from 4.0 on drop what is put back too often.
"""

from collections.abc import AsyncGenerator

import structlog

from common import topology
from common.broker import Broker
from services.janitor.duty import Counts, Sweep

log = structlog.get_logger(__name__)


class DeadLetters:
    name = "dead_letters"

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def batches(self, _sweep: Sweep) -> AsyncGenerator[Counts, None]:
        for name in sorted({queue.dead for queue in topology.QUEUES}):
            count = await self._broker.ready(topology.Queue(name, ()))
            if count:
                log.warning("dead letters", queue=name, messages=count)
            yield Counts(scanned=count, failed=count)
