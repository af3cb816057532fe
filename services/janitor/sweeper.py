"""Runs duties: one sweep is all batches of one duty under its lock. A duty that fails is reported, and stops nothing but itself.

After each batch it rests for two thirds of what that took: nobody waits for a sweep, but requests wait behind what it has the store, the
database and the broker do. Where others keep the machine busy a batch takes longer, and so does the rest.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, nullcontext
from datetime import timedelta

import msgspec
import structlog

from common import patience
from common.broker import LOST
from common.cleanup import Report
from common.database import AWAY, Connection, Pool
from common.errors import VerbatimError
from services.janitor import metrics
from services.janitor.duty import BrokenOff, Counts, Duty, Sweep
from services.janitor.lock import exclusive

log = structlog.get_logger(__name__)

_REST = 2 / 3
_LONGEST_REST = 60.0
"""Seconds; well below the time after which whoever holds a duty's lock and asks nothing is taken to be gone."""
_LISTING = timedelta(minutes=5)
"""For so long a batch may ask nothing of the database, as when the store takes its time: no request to it lasts longer, tries included."""


class Sweeper:
    """Sweeps stop between batches once `stopping` is set."""

    def __init__(self, pool: Pool, stopping: asyncio.Event) -> None:
        self._pool = pool
        self._stopping = stopping

    async def sweep(self, duty: Duty, *, dry_run: bool = False) -> Report | None:
        """Sweep once; None when another janitor is at it. Never raises for what goes wrong in the duty."""
        started = time.monotonic()
        total, complete, error = Counts(), False, None
        try:
            async with exclusive(self._pool, duty.name) as connection:
                if connection is None:
                    return None
                now = await connection.fetchval("select now()")
                undone = _undone(connection) if dry_run else nullcontext()
                async with undone, aclosing(duty.batches(Sweep(connection, now, dry_run))) as batches:
                    began = time.monotonic()
                    async for counts in batches:
                        total += counts
                        # A batch may only list, and the connection of one who asks nothing is ended as abandoned.
                        await connection.execute("select")
                        if await patience.wait(self._stopping, min(_REST * (time.monotonic() - began), _LONGEST_REST)):
                            break
                        began = time.monotonic()
                    else:
                        complete = True
        except Exception as broken:
            total += broken.counts if isinstance(broken, BrokenOff) else Counts()
            why = broken.__cause__ if isinstance(broken, BrokenOff) else broken
            if not isinstance(why, (VerbatimError, *AWAY, *LOST)):
                log.exception("sweep broke", duty=duty.name)
            error = repr(why)
        report = Report(
            duty=duty.name,
            dry_run=dry_run,
            scanned=total.scanned,
            swept=total.swept,
            failed=total.failed,
            seconds=round(time.monotonic() - started, 3),
            backlog_seconds=round(total.late.total_seconds(), 3),
            complete=complete,
            error=error,
        )
        metrics.swept(report)
        _log(report)
        return report


@asynccontextmanager
async def _undone(connection: Connection) -> AsyncIterator[None]:
    """What is changed in the block is not changed after it."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("select set_config('idle_in_transaction_session_timeout', $1, true)", f"{_LISTING.seconds}s")
        yield
    finally:
        await transaction.rollback()


def _log(report: Report) -> None:
    """One line a sweep; quick duties that find nothing stay below the usual level."""
    fields = msgspec.structs.asdict(report)
    if report.error is not None or report.failed:
        log.warning("sweep", **fields)
    elif report.scanned or report.dry_run:
        log.info("sweep", **fields)
    else:
        log.debug("sweep", **fields)
