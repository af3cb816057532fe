"""Sweeps on request: `cleanup.requested` messages, whose body may name duties and ask for a dry run.

A request waits for a sweep that is under way, as that one may have passed by what the request is about. It is acked when the work is done;
a janitor that stops before leaves it to another.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec
import structlog

from common import cleanup, patience, topology
from common.broker import Broker, settle
from common.cleanup import Cleanup, Report
from common.database import AWAY, Connection, Pool
from common.envelope import from_message
from common.errors import PermanentError
from services.janitor.duty import Duty
from services.janitor.sweeper import Sweeper

T = TypeVar("T")

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 0.5


async def obey(broker: Broker, pool: Pool, duties: Sequence[Duty], sweeper: Sweeper, stopping: asyncio.Event) -> None:
    """Carry out requests until told to stop."""
    async for message in broker.deliveries(topology.JANITOR_COMMANDS, stopping=stopping):
        try:
            request = msgspec.json.decode(from_message(message).data, type=Cleanup)
        except (PermanentError, msgspec.DecodeError) as error:
            log.error("poison", queue=topology.JANITOR_COMMANDS.name, error=str(error))
            await settle(message, poison=True)
            continue
        if await _obey_once(request, pool, duties, sweeper, stopping):
            await settle(message)


async def _obey_once(request: Cleanup, pool: Pool, duties: Sequence[Duty], sweeper: Sweeper, stopping: asyncio.Event) -> bool:
    """Whether it is done; False when we were stopped before: another janitor does it all again, which harms nothing.

    One that took longer than the broker waits for an ack comes again, and would for ever: it is not carried out twice.
    """
    identity = request.id
    if identity is None:
        await carry_out(request, duties, sweeper, stopping)
        return not stopping.is_set()
    earlier = await _persist(pool, stopping, lambda connection: cleanup.read(connection, identity))
    if earlier is not None and earlier.finished_at is not None:
        return True
    reports = await carry_out(request, duties, sweeper, stopping)

    async def tell(connection: Connection) -> bool:
        await cleanup.finish(connection, identity, reports)
        return True

    return bool(await _persist(pool, stopping, tell))


async def carry_out(request: Cleanup, duties: Sequence[Duty], sweeper: Sweeper, stopping: asyncio.Event) -> list[Report]:
    """Sweep what is asked for, one duty after another, each after the sweep that may be under way."""
    reports = []
    for duty in duties:
        if request.duties and duty.name not in request.duties:
            continue
        while not stopping.is_set():
            report = await sweeper.sweep(duty, dry_run=request.dry_run)
            if report is not None:
                reports.append(report)
                break
            await _pause(stopping)
    return reports


async def _persist(pool: Pool, stopping: asyncio.Event, work: Callable[[Connection], Awaitable[T]]) -> T | None:
    """Do `work` as soon as the database is there; None when we are stopped before."""
    while not stopping.is_set():
        try:
            async with pool.acquire() as connection:
                return await work(connection)
        except AWAY as error:
            log.warning("database away", error=repr(error))
            await _pause(stopping)
    return None


async def _pause(stopping: asyncio.Event) -> None:
    await patience.wait(stopping, _RETRY_SECONDS)
