"""Attempts at deliveries: with a message one is claimed, sent, and what came of it recorded; then the next that is due in its lane.

A failed attempt is no failure of its message: the next one at the same delivery is another message, due later, which the outbox holds.
Nothing here touches the job, so a failing webhook never fails it.
"""

import asyncio
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from services.notifier import deliveries
from services.notifier.answer import Again, Answered, Delivered, Failed, Postponed, Unanswered, Verdict
from services.notifier.claims import Claims
from services.notifier.consumer import names
from services.notifier.deliveries import Attempt, Bounds, Kind
from services.notifier.persistence import persist
from services.notifier.ways import Sent, Way

log = structlog.get_logger(__name__)

_ATTEMPTS = Counter("verbatim_delivery_attempts_total", "Attempts at deliveries, by what followed from the answer", ["kind", "outcome"])
_SECONDS = Histogram("verbatim_delivery_seconds", "Seconds until a receiver answered", buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30))

_RELEASE_SECONDS = 5.0
_IN_A_ROW = 16
_TURN_SECONDS = 60.0
"""After so many attempts in one lane, or so long, the next is announced, behind whatever other lanes have in the queue. Nor may a message
be held for as long as one likes: the broker takes back what is not acked in time."""


class Attempts:
    """Handles `notifier.deliveries`, any number at a time."""

    def __init__(self, *, pool: Pool, ways: Mapping[Kind, Way], bounds: Bounds, stopping: asyncio.Event) -> None:
        self._pool = pool
        self._ways = ways
        self._bounds = bounds
        self._stopping = stopping
        self._claims = Claims(pool, bounds)

    async def handle(self, event: Event) -> None:
        """Make attempts in the lane of the one that the event names, while any is due. Cancelling gives back unspent what is claimed."""
        due = _due(event)
        attempt = await self._claims.by_message(due, again=event.redelivered)
        made, began = 0, time.monotonic()
        while attempt is not None:
            try:
                with _within(attempt, due):
                    await self._make(attempt)
            except BaseException:
                self._claims.leave(attempt)
                raise
            made += 1
            if self._stopping.is_set():
                await self._claims.stop(attempt)
                return
            if made == _IN_A_ROW or time.monotonic() - began > _TURN_SECONDS:
                await self._claims.end_turn(attempt)
                return
            attempt = await self._claims.next(attempt)

    async def _make(self, attempt: Attempt) -> None:
        try:
            sent, elapsed = await self._send(attempt)
        except asyncio.CancelledError:
            await asyncio.shield(self._release(attempt))
            raise
        await self._record(attempt, sent, elapsed)

    async def _send(self, attempt: Attempt) -> tuple[Sent, timedelta]:
        """What came back, and how long it took. Neither span nor log shows more of the URL than its host: the rest may be a secret."""
        way = self._ways[attempt.kind]
        with tracing.span(f"{attempt.kind} {way.method}", kind="client") as span:
            span.set_attributes(
                {
                    "http.request.method": way.method,
                    "http.request.resend_count": attempt.attempt - 1,
                    "server.address": _host(attempt.endpoint),
                    "verbatim.delivery_id": str(attempt.id),
                }
            )
            started = time.monotonic()
            sent = await way.send(attempt)
            elapsed = timedelta(seconds=time.monotonic() - started)
            match sent.answer:
                case Answered(status=status):
                    span.set_attribute("http.response.status_code", status)
                    if status >= 300:
                        tracing.failed(span, str(status), "the receiver did not accept it")
                case Unanswered(error=error):
                    tracing.failed(span, "unanswered", error)
                case _:
                    assert_never(sent.answer)
        return sent, elapsed

    async def _record(self, attempt: Attempt, sent: Sent, elapsed: timedelta) -> None:
        """Bring the delivery to what follows from the answer. Only the write is repeated while Postgres is away, never the request."""
        answer = sent.answer
        chance = random.random()  # noqa: S311 - spreads retries, guards nothing
        verdict = self._ways[attempt.kind].judge(attempt, answer, now=attempt.claimed_at + elapsed, chance=chance)
        told = log.bind(
            delivery_id=str(attempt.id),
            endpoint_id=None if attempt.endpoint_id is None else str(attempt.endpoint_id),
            attempt=attempt.attempt,
            milliseconds=round(elapsed / timedelta(milliseconds=1)),
            status=answer.status if isinstance(answer, Answered) else None,
        )
        _SECONDS.observe(elapsed.total_seconds())
        if not await persist(self._pool, lambda connection: self._write(connection, attempt, sent, elapsed, verdict)):
            told.warning("attempt was no longer ours")
            return
        error = answer.error if isinstance(answer, Unanswered) else None
        match verdict:
            case Delivered():
                _ATTEMPTS.labels(attempt.kind, "delivered").inc()
                told.info(f"{attempt.kind} delivered")
            case Again(delay):
                _ATTEMPTS.labels(attempt.kind, "again").inc()
                told.info(f"{attempt.kind} not accepted", error=error, next_in=round(delay.total_seconds(), 1))
            case Postponed(delay):
                _ATTEMPTS.labels(attempt.kind, "postponed").inc()
                told.warning(f"{attempt.kind} postponed", error=error, next_in=round(delay.total_seconds(), 1))
            case Failed(code, reason):
                _ATTEMPTS.labels(attempt.kind, "failed").inc()
                told.warning(f"{attempt.kind} failed", code=code, reason=reason)
            case _:
                assert_never(verdict)

    async def _write(self, connection: Connection, attempt: Attempt, sent: Sent, elapsed: timedelta, verdict: Verdict) -> bool:
        match verdict:
            case Delivered():
                return await deliveries.deliver(connection, attempt, sent.answer, elapsed, self._bounds, keep=sent.keep)
            case Again(delay):
                return await deliveries.retry(connection, attempt, sent.answer, elapsed, self._bounds, delay)
            case Postponed(delay):
                return await deliveries.postpone(connection, attempt, delay)
            case Failed():
                return await deliveries.fail(connection, attempt, sent.answer, elapsed, self._bounds, verdict)
        assert_never(verdict)

    async def _release(self, attempt: Attempt) -> None:
        """Bounded: when Postgres is away too, the claim's end does it."""
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await persist(self._pool, lambda connection: deliveries.release(connection, attempt))
        except TimeoutError:
            log.warning("attempt not given back", delivery_id=str(attempt.id))


@contextmanager
def _within(attempt: Attempt, due: Due) -> Iterator[None]:
    """In its own job's trace, and under that one's name, where the message at hand is another's."""
    if attempt.id == due.delivery_id:
        yield
        return
    with (
        structlog.contextvars.bound_contextvars(**names(attempt.about)),
        tracing.span("next in lane", kind="consumer", parent=attempt.trace, link=tracing.current_traceparent()),
    ):
        yield


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
