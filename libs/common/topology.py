"""The broker's exchanges and queues, declared by every service at every connection; declaring what exists changes nothing.

Dead-lettering means one thing here: poison. A message that was delivered `DELIVERY_LIMIT` times without an ack, or that is no event at
all, goes to the queue's `.dead` twin; a retry is never a nack but a row in the outbox. Works on RabbitMQ 3.10 through 4.x.
"""

from collections.abc import Mapping

import msgspec
import structlog
from aio_pika import ExchangeType
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelPreconditionFailed

log = structlog.get_logger(__name__)

EXCHANGE = "verbatim.events"
DEAD_EXCHANGE = "verbatim.dead"
DELIVERY_LIMIT = 10
DEAD: Mapping[str, str | int] = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}
"""Of the queues of dead letters, from which the broker would drop what comes back too often: after 20 times since RabbitMQ 4.0, unless
another limit is named. A number that is never reached is one in every version; no limit at all is -1, which 3.x refuses."""


class Queue(msgspec.Struct, frozen=True):
    """A quorum queue and the event types that are routed to it."""

    name: str
    bindings: tuple[str, ...]

    @property
    def dead(self) -> str:
        """Where its poison goes."""
        return f"{self.name.split('.')[0]}.dead"

    @property
    def arguments(self) -> Mapping[str, str | int]:
        """At-least-once dead-lettering needs `reject-publish`: the broker keeps a message rather than lose it."""
        return {
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": DEAD_EXCHANGE,
            "x-dead-letter-routing-key": self.dead,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }


TRANSCRIBER_JOBS = Queue("transcriber.jobs", ("job.created", "job.requeued"))
TRANSCRIBER_ARCHIVES = Queue("transcriber.archives", ("archive.requested",))
NOTIFIER_EVENTS = Queue("notifier.events", ("job.started", "job.completed", "job.failed", "job.cancelled", "job.expired"))
NOTIFIER_DELIVERIES = Queue("notifier.deliveries", ("delivery.due",))
JANITOR_COMMANDS = Queue("janitor.commands", ("cleanup.requested",))
QUEUES = (TRANSCRIBER_JOBS, TRANSCRIBER_ARCHIVES, NOTIFIER_EVENTS, NOTIFIER_DELIVERIES, JANITOR_COMMANDS)

ROUTED = frozenset(binding for queue in QUEUES for binding in queue.bindings)
"""Event types that one of our own queues must receive; the others go to whoever listens, which may be no one."""


async def declare(connection: AbstractConnection) -> None:
    """Declare everything, durable and idempotent."""
    async with connection.channel() as channel:
        exchange = await channel.declare_exchange(EXCHANGE, ExchangeType.TOPIC, durable=True)
        await channel.declare_exchange(DEAD_EXCHANGE, ExchangeType.DIRECT, durable=True)
        for name in sorted({queue.dead for queue in QUEUES}):
            await _declare_dead(connection, name)
        for queue in QUEUES:
            declared = await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))
            for binding in queue.bindings:
                await declared.bind(exchange, binding)


async def _declare_dead(connection: AbstractConnection, name: str) -> None:
    """On channels of its own, as the broker closes the one on which it refuses."""
    try:
        async with connection.channel() as channel:
            dead = await channel.declare_queue(name, durable=True, arguments=dict(DEAD))
            await dead.bind(DEAD_EXCHANGE, name)
    except ChannelPreconditionFailed:  # an earlier version made it; what a queue was declared with never changes
        log.warning("a queue of dead letters has the broker's own limit; delete it while it is empty, and it is made anew", queue=name)
        async with connection.channel() as channel:
            await (await channel.get_queue(name, ensure=False)).bind(DEAD_EXCHANGE, name)
