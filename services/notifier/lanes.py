"""Lanes: no address gets more than so many requests at once, so that one which is slow or dead never delays the others.

A lane is an endpoint, or a tenant's own addresses at one origin. Where it stands is in Postgres, one truth for any number of notifiers: the
requests under way are the claims that have not run out, so nobody who dies has to give a place back. What waits for a slow address takes up
nothing that others need: who comes to it, and when, is in `claims`.

A lane that gives no answer has one place instead of several, and after `SHUTS_AFTER` requests without one it is shut for a while, each time
for longer: what is due then waits, without an attempt being spent, but for one that is made when the time is up, to see. Any answer, even a
refusal, opens it: what costs us time is silence.
"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import asyncpg
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


async def lock(connection: Connection, lane: str) -> None:
    """The first lock of whoever takes several."""
    await connection.execute(SQL["lock_lane"], lane)


async def send_probes(connection: Connection, shut: Sequence[str]) -> None:
    """To each of these lanes, if it is shut, one of what is due is announced for when the time is up, unless one has been."""
    if shut:
        for row in await connection.fetch(SQL["send_probes"], shut):
            await announce(connection, *_next(row), delay=row["wait"])


async def leave(connection: Connection, lane: str, *, answered: bool, width: int) -> None:
    """After an attempt that was recorded: note whether the lane gives answers. One that opens it brings something for all its places."""
    if answered:
        if await connection.fetchval(SQL["recover_lane"], lane) is not None:
            await announce_due(connection, lane, most=width)
        return
    failures = await connection.fetchval(SQL["count_failure"], lane)
    pause = None if failures is None else shut_for(failures)
    if pause is None:
        return
    await connection.execute(SQL["shut"], lane, pause)
    await _give_up(connection, lane)
    _SHUT.inc()
    log.warning("address gives no answer", failures=failures, seconds=pause.total_seconds())


async def announce_due(connection: Connection, lane: str, *, most: int) -> int:
    """What has been due for longest; how many that are, up to `most`."""
    rows = await connection.fetch(SQL["next_due"], lane, most)
    await announce_all(connection, [_next(row) for row in rows])
    return len(rows)


async def _give_up(connection: Connection, lane: str) -> None:
    """What has waited for days fails, and lanes that nothing is sent to any more are forgotten."""
    await connection.execute(SQL["lock_uploaded"], lane, PATIENCE)
    for row in await connection.fetch(SQL["give_up"], lane, PATIENCE):
        if row["kind"] == "upload":
            await store.tell_upload(connection, row["job_id"], Upload(state="failed", code=NO_ANSWER, at=row["finished_at"]))
    await connection.execute(SQL["forget_lanes"])


def _next(row: asyncpg.Record) -> tuple[str, Due]:
    """The attempt that a delivery waits for, and what it is about."""
    return about(row["job_id"], row["endpoint_id"]), Due(row["id"], row["attempt"] + 1)
