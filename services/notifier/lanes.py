"""Lanes: no address gets more than so many requests at once, so that one which is slow or dead never delays the others.

A lane is an endpoint, or a tenant's own addresses at one origin. Where it stands is in Postgres, one truth for any number of notifiers: the
requests under way are the claims that have not run out, so nobody who dies has to give a place back. A message that finds its lane full is
acked, and its delivery parked; the next attempt that ends there announces one that is parked. So what waits for a slow address takes up
nothing that others need.

A lane that gives no answer has one place instead of several, and after `SHUTS_AFTER` requests without one it is shut for a while, each time
for longer: what is due then waits, without an attempt being spent, but for one that is made when the time is up, to see. Any answer, even a
refusal, opens it: what costs us time is silence.

Everything here is part of a caller's transaction that holds the lane's lock, so that no delivery is parked at the very moment at which the
last place becomes free.
"""

from datetime import timedelta
from pathlib import Path

import asyncpg
import msgspec
import structlog
from prometheus_client import Counter

from common.database import Connection, Queries
from common.due import Due, about, announce, announce_all
from common.jobs import store
from common.jobs.job import Upload
from services.notifier.health import PATIENCE

log = structlog.get_logger(__name__)

SQL = Queries(Path(__file__).with_name("lanes.sql"))

NO_ANSWER = "no_answer"
SHUTS_AFTER = 3
_FIRST, _LONGEST = timedelta(seconds=30), timedelta(minutes=10)

_SHUT = Counter("verbatim_delivery_lanes_shut_total", "Addresses that were left alone for a while, as they gave no answer")


def shut_for(failures: int) -> timedelta | None:
    """How long a lane is left alone after so many requests in a row without an answer; None: not yet."""
    if failures < SHUTS_AFTER:
        return None
    doubled: timedelta = _FIRST * 2 ** min(failures - SHUTS_AFTER, 10)
    return min(doubled, _LONGEST)


class Entered(msgspec.Struct, frozen=True):
    """The lane of an attempt that is to be made, locked; and the subject of the attempt's events."""

    lane: str
    subject: str


async def enter(connection: Connection, due: Due) -> Entered | None:
    """None when the attempt has been made."""
    row = await connection.fetchrow(SQL["enter_lane"], due.delivery_id, due.attempt)
    return None if row is None else Entered(row["lane"], about(row["job_id"], row["endpoint_id"]))


async def lock(connection: Connection, lane: str) -> None:
    """The first lock of whoever takes several."""
    await connection.execute(SQL["lock_lane"], lane)


async def queue(connection: Connection, entered: Entered, due: Due) -> bool:
    """Have an attempt wait that may not be made now: for the lane to be opened, as its probe, or parked. False when it is another's."""
    row = await connection.fetchrow(SQL["queue"], due.delivery_id, due.attempt, entered.lane)
    if row is not None and row["wait"] is not None:
        await announce(connection, entered.subject, due, delay=row["wait"])
    return row is not None


async def leave(connection: Connection, lane: str, *, answered: bool, width: int) -> None:
    """After an attempt that was recorded: note whether the lane gives answers, and announce what can be made in its place."""
    if answered:
        recovered = await connection.fetchval(SQL["recover_lane"], lane) is not None
        await _unpark(connection, lane, width=width, most=width if recovered else 1)
        return
    failures = await connection.fetchval(SQL["count_failure"], lane)
    pause = None if failures is None else shut_for(failures)
    if pause is None:
        await _unpark(connection, lane, width=width, most=1)
        return
    await connection.execute(SQL["shut"], lane, pause)
    await _give_up(connection, lane)
    probe = await connection.fetchrow(SQL["unpark_probe"], lane)
    if probe is not None:
        await connection.execute(SQL["send_probe"], lane)
        await announce(connection, *_next(probe), delay=pause)
    _SHUT.inc()
    log.warning("address gives no answer", failures=failures, seconds=pause.total_seconds())


async def _give_up(connection: Connection, lane: str) -> None:
    """What has waited for days fails, and lanes that nothing is sent to any more are forgotten."""
    await connection.execute(SQL["lock_uploaded"], lane, PATIENCE)
    for row in await connection.fetch(SQL["give_up"], lane, PATIENCE):
        if row["kind"] == "upload":
            await store.tell_upload(connection, row["job_id"], Upload(state="failed", code=NO_ANSWER, at=row["finished_at"]))
    await connection.execute(SQL["forget_lanes"])


async def _unpark(connection: Connection, lane: str, *, width: int, most: int) -> None:
    await announce_all(connection, [_next(row) for row in await connection.fetch(SQL["unpark"], lane, width, most)])


def _next(row: asyncpg.Record) -> tuple[str, Due]:
    """The attempt that a delivery waits for, and what it is about."""
    return about(row["job_id"], row["endpoint_id"]), Due(row["id"], row["attempt"] + 1)
