"""Sweeps on request: `cleanup.requested` messages, whose body may name duties and ask for a dry run.

A request waits for a sweep that is under way, as that one may have passed by what the request is about. It is acked when the work is done;
a janitor that stops before leaves it to another.
"""

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from common import cleanup, patience, topology
from common.broker import Broker, settle
from common.cleanup import Cleanup, Report
from common.database import AWAY, Pool
from common.envelope import from_message
from common.errors import PermanentError
from services.janitor.duty import Duty
from services.janitor.sweeper import Sweeper

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
        reports = await carry_out(request, duties, sweeper, stopping)
        if await _tell(pool, request, reports, stopping):
            await settle(message)


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


async def _tell(pool: Pool, request: Cleanup, reports: list[Report], stopping: asyncio.Event) -> bool:
    """Write the reports for who asked; False when we were stopped before: another janitor does it all again, which harms nothing."""
    while not stopping.is_set():
        if request.id is None:
            return True
        try:
            async with pool.acquire() as connection:
                await cleanup.finish(connection, request.id, reports)
        except AWAY as error:
            log.warning("database away", error=repr(error))
            await _pause(stopping)
        else:
            return True
    return False


async def _pause(stopping: asyncio.Event) -> None:
    await patience.wait(stopping, _RETRY_SECONDS)
