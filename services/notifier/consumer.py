"""Messages of one queue, each under its own span of the job's trace and acked only when its effect is committed.

So many are in hand at once, on one channel, and one that takes long holds up no other. An ack means that the message was dealt with, or
that there was nothing to do. Only poison is rejected: what can never be dealt with, however often it comes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import structlog
from aio_pika.abc import AbstractIncomingMessage

from common import tracing
from common.broker import Broker, settle
from common.envelope import Event, from_message
from common.errors import PermanentError
from common.topology import Queue

log = structlog.get_logger(__name__)

Handler = Callable[[Event], Awaitable[None]]


async def consume(broker: Broker, queue: Queue, handle: Handler, *, at_once: int, stopping: asyncio.Event) -> None:
    """Take messages until `stopping`, then finish those in hand. Cancelling leaves them to another.

    A lost connection ends none of them: what comes again meanwhile finds that it is being dealt with.
    """
    in_hand: set[asyncio.Task[None]] = set()

    async def finish() -> None:
        if in_hand:
            await asyncio.wait(in_hand)

    messages = broker.deliveries(queue, stopping=stopping, prefetch=at_once, finish=finish)
    try:
        async with aclosing(messages):
            async for message in messages:
                task = asyncio.create_task(_take(message, queue, handle), name=queue.name)
                in_hand.add(task)
                task.add_done_callback(in_hand.discard)
        await finish()
    finally:
        for task in in_hand:
            task.cancel()
        await asyncio.gather(*in_hand, return_exceptions=True)


async def _take(message: AbstractIncomingMessage, queue: Queue, handle: Handler) -> None:
    try:
        event = from_message(message)
    except PermanentError as error:
        log.error("poison", queue=queue.name, error=error.message)
        await settle(message, poison=True)
        return
    with (
        structlog.contextvars.bound_contextvars(**names(event.subject)),
        tracing.span(f"consume {queue.name}", kind="consumer", parent=event.trace) as span,
    ):
        tracing.describe_message(span, event)
        try:
            await handle(event)
        except PermanentError as error:
            log.error("poison", queue=queue.name, event_id=str(event.id), error=error.message)
            tracing.failed(span, error.code, error.message)
            await settle(message, poison=True)
        except Exception as error:
            # Whatever broke will break again: the message is kept for people to look at, and the others go on.
            log.exception("poison", queue=queue.name, event_id=str(event.id))
            tracing.failed(span, type(error).__name__, "the handler broke")
            await settle(message, poison=True)
        else:
            await settle(message)


def names(subject: str) -> dict[str, str]:
    """What log lines name: a job, or, for a subject such as `endpoint/…`, something else."""
    kind, _, identity = subject.rpartition("/")
    return {f"{kind or 'job'}_id": identity}
