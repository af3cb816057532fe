"""One attempt at one delivery: claim it, send it, record what came of it.

A failed attempt is no failure of its message: the next one is another message, due later, which the outbox holds. Nothing here touches the
job, so a failing webhook never fails it.
"""

import asyncio
import random
import time
from datetime import timedelta
from typing import assert_never
from urllib.parse import urlsplit

import msgspec
import structlog
from prometheus_client import Counter, Histogram

from common import tracing
from common.database import Connection, Pool
from common.due import Due
from common.envelope import Event
from common.errors import PermanentError
from common.webhook import TEST
from services.notifier import deliveries
from services.notifier.answer import Again, Answer, Answered, Delivered, Failed, Unanswered, judge
from services.notifier.deliveries import Attempt
from services.notifier.persistence import persist
from services.notifier.post import Post
from services.notifier.schedule import Schedule
from services.notifier.signature import Signer

log = structlog.get_logger(__name__)

_ATTEMPTS = Counter("verbatim_delivery_attempts_total", "Attempts at webhook deliveries, by what followed from the answer", ["outcome"])
_SECONDS = Histogram("verbatim_delivery_seconds", "Seconds until a receiver answered", buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30))

_MARGIN = timedelta(seconds=10)
"""How much longer an attempt is claimed than its request may take: what claiming and recording take at the worst."""

_RELEASE_SECONDS = 5.0
_ONCE = Schedule(())


class Attempts:
    """Handles `notifier.deliveries`, any number at a time. `timeout` is that of one request.

    `signer` is for deliveries to which neither an endpoint nor a tenant has a secret of its own.
    """

    def __init__(self, *, pool: Pool, post: Post, signer: Signer, schedule: Schedule, timeout: timedelta) -> None:
        self._pool = pool
        self._post = post
        self._signer = signer
        self._schedule = schedule
        self._lease = timeout + _MARGIN

    async def handle(self, event: Event) -> None:
        """Make the attempt that the event names, unless it has been made. Cancelling gives it back unspent."""
        due = _due(event)
        attempt = await persist(self._pool, lambda connection: deliveries.claim(connection, due, lease=self._lease))
        if attempt is None:
            wait = await persist(self._pool, lambda connection: deliveries.look_again(connection, due))
            log.debug(
                "attempt not ours",
                delivery_id=str(due.delivery_id),
                attempt=due.attempt,
                again_in=None if wait is None else wait.total_seconds(),
            )
            return
        try:
            answer, elapsed = await self._send(attempt)
        except asyncio.CancelledError:
            await asyncio.shield(self._release(attempt))
            raise
        await self._record(attempt, answer, elapsed)

    async def _send(self, attempt: Attempt) -> tuple[Answer, timedelta]:
        """The answer, and how long it took. Neither span nor log shows more of the URL than its host: the rest may be a secret."""
        with tracing.span("webhook POST", kind="client") as span:
            span.set_attributes(
                {
                    "http.request.method": "POST",
                    "http.request.resend_count": attempt.attempt - 1,
                    "server.address": _host(attempt.endpoint),
                    "verbatim.delivery_id": str(attempt.id),
                }
            )
            signer = Signer(attempt.secrets) if attempt.secrets else self._signer
            headers = signer.headers(str(attempt.event_id), int(attempt.claimed_at.timestamp()), attempt.body)
            traceparent = tracing.current_traceparent()
            if traceparent is not None:
                headers["traceparent"] = traceparent
            started = time.monotonic()
            answer = await self._post(attempt.endpoint, attempt.body, headers)
            elapsed = timedelta(seconds=time.monotonic() - started)
            match answer:
                case Answered(status=status):
                    span.set_attribute("http.response.status_code", status)
                    if status >= 300:
                        tracing.failed(span, str(status), "the receiver did not accept it")
                case Unanswered(error=error):
                    tracing.failed(span, "unanswered", error)
                case _:
                    assert_never(answer)
        return answer, elapsed

    async def _record(self, attempt: Attempt, answer: Answer, elapsed: timedelta) -> None:
        """Bring the delivery to what follows from the answer. Only the write is repeated while Postgres is away, never the request."""
        chance = random.random()  # noqa: S311 - spreads retries, guards nothing
        schedule = _ONCE if attempt.event_type == TEST else self._schedule
        verdict = judge(answer, attempt.attempt, schedule, now=attempt.claimed_at, chance=chance)
        told = log.bind(
            delivery_id=str(attempt.id),
            endpoint_id=None if attempt.endpoint_id is None else str(attempt.endpoint_id),
            attempt=attempt.attempt,
            milliseconds=round(elapsed / timedelta(milliseconds=1)),
            status=answer.status if isinstance(answer, Answered) else None,
        )

        async def write(connection: Connection) -> bool:
            match verdict:
                case Delivered():
                    return await deliveries.deliver(connection, attempt, answer, elapsed)
                case Again(delay):
                    return await deliveries.retry(connection, attempt, answer, elapsed, delay)
                case Failed():
                    return await deliveries.fail(connection, attempt, answer, elapsed)
            assert_never(verdict)

        _SECONDS.observe(elapsed.total_seconds())
        if not await persist(self._pool, write):
            told.warning("attempt was no longer ours")
            return
        match verdict:
            case Delivered():
                _ATTEMPTS.labels("delivered").inc()
                told.info("webhook delivered")
            case Again(delay):
                _ATTEMPTS.labels("again").inc()
                error = answer.error if isinstance(answer, Unanswered) else None
                told.info("webhook not accepted", error=error, next_in=round(delay.total_seconds(), 1))
            case Failed(reason):
                _ATTEMPTS.labels("failed").inc()
                told.warning("webhook failed", reason=reason)
            case _:
                assert_never(verdict)

    async def _release(self, attempt: Attempt) -> None:
        """Bounded: when Postgres is away too, the claim's end does it."""
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await persist(self._pool, lambda connection: deliveries.release(connection, attempt))
        except TimeoutError:
            log.warning("attempt not given back", delivery_id=str(attempt.id))


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _due(event: Event) -> Due:
    try:
        return msgspec.json.decode(event.data, type=Due)
    except msgspec.DecodeError as error:
        raise PermanentError("not_an_attempt", f"The event names no attempt: {error}.") from None
