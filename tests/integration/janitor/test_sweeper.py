"""Sweeps: one janitor at a time for each duty, in batches, and no failure that spreads."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timedelta

import pytest

from common.cleanup import Report
from common.database import AWAY, Pool
from common.errors import TransientError
from services.janitor.duty import Counts, Sweep
from services.janitor.lock import exclusive
from services.janitor.sweeper import Sweeper
from tests.running import wait_until


class Scripted:
    """A duty that does as it is told, a step a batch."""

    def __init__(self, name: str, *steps: Callable[[Sweep], object]) -> None:
        self.name = name
        self._steps = steps
        self.inside = asyncio.Event()
        self.proceed = asyncio.Event()
        self.proceed.set()

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        self.inside.set()
        await self.proceed.wait()
        for step in self._steps:
            step(sweep)
            await sweep.connection.execute("select 1")
            yield Counts(scanned=2, swept=1)


def nothing(_sweep: Sweep) -> None:
    pass


def held_up(name: str) -> Scripted:
    duty = Scripted(name, nothing)
    duty.proceed.clear()
    return duty


async def swept(sweeper: Sweeper, duty: Scripted) -> Report:
    report = await sweeper.sweep(duty)
    assert report is not None
    return report


async def test_a_sweep_reports_all_its_batches(sweeper: Sweeper) -> None:
    """The counts are the sum over the batches."""
    report = await swept(sweeper, Scripted("a", nothing, nothing, nothing))
    assert (report.duty, report.scanned, report.swept, report.failed) == ("a", 6, 3, 0)
    assert report.complete
    assert report.error is None


async def test_a_sweep_rests_between_its_batches(sweeper: Sweeper) -> None:
    """For two thirds of the time that a batch took, for what others ask of the machine."""
    times: list[float] = []

    class Slow(Scripted):
        async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
            for _ in range(3):
                times.append(time.monotonic())
                await sweep.connection.execute("select pg_sleep(0.05)")
                times.append(time.monotonic())
                yield Counts()

    await swept(sweeper, Slow("a"))
    for began, ended, following in zip(times[0:4:2], times[1:5:2], times[2:6:2], strict=True):
        assert following - ended >= 0.6 * (ended - began)


async def test_two_janitors_never_do_the_same_duty_at_once(pool: Pool, sweeper: Sweeper) -> None:
    """The second passes it over, does another duty meanwhile, and gets its turn when the first is done."""
    slow = held_up("a")
    second = Sweeper(pool, asyncio.Event())
    async with asyncio.TaskGroup() as group:
        first = group.create_task(sweeper.sweep(slow))
        await slow.inside.wait()

        assert await second.sweep(Scripted("a", nothing)) is None
        assert (await swept(second, Scripted("b", nothing))).complete

        slow.proceed.set()
    report = first.result()
    assert report is not None
    assert report.complete
    assert (await swept(second, Scripted("a", nothing))).complete


async def test_a_failure_is_told_and_frees_the_duty(sweeper: Sweeper) -> None:
    """What fails in a duty, foreseen or not, ends this sweep of it and nothing else; what was done before counts."""

    def refuse(_sweep: Sweep) -> None:
        raise TransientError("storage_unavailable", "The store is away.")

    def divide(_sweep: Sweep) -> None:
        raise ZeroDivisionError

    for broken in (refuse, divide):
        report = await swept(sweeper, Scripted("a", nothing, broken, nothing))
        assert (report.scanned, report.swept, report.complete) == (2, 1, False)
        assert report.error is not None
    assert (await swept(sweeper, Scripted("a", nothing))).complete


async def test_a_janitor_that_lost_its_connection_stops_and_another_takes_over(pool: Pool, sweeper: Sweeper) -> None:
    """The lock dies with the connection, and so does the sweep that relied on it."""
    slow = held_up("a")
    first = asyncio.create_task(sweeper.sweep(slow))
    await slow.inside.wait()
    await pool.execute(
        "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database"
        " where datname = current_database())"
    )
    heir = Sweeper(pool, asyncio.Event())

    async def taken_over() -> bool:
        return await heir.sweep(Scripted("a", nothing)) is not None

    await wait_until(taken_over, "the lock to be free")
    slow.proceed.set()
    lost = await first
    assert lost is not None
    assert lost.error is not None
    assert not lost.complete


async def test_a_janitor_that_stands_still_loses_its_duty(pool: Pool) -> None:
    """Its connection still answers keep-alives; the server ends it, and another has the lock."""
    async with exclusive(pool, "a", abandoned=timedelta(seconds=0.5)) as stopped:
        assert stopped is not None

        async def free() -> bool:
            async with exclusive(pool, "a") as connection:
                return connection is not None

        await wait_until(free, "the lock to be free")
        with pytest.raises(AWAY):
            await stopped.execute("select")


async def test_a_sweep_ends_after_the_batch_in_which_it_was_told_to(pool: Pool) -> None:
    """A janitor that stops does not begin another batch."""
    stopping = asyncio.Event()
    duty = Scripted("a", nothing, lambda _sweep: stopping.set(), nothing)
    report = await swept(Sweeper(pool, stopping), duty)
    assert (report.scanned, report.complete, report.error) == (4, False, None)


async def test_a_cancelled_sweep_frees_the_duty(pool: Pool, sweeper: Sweeper) -> None:
    """Also one that is cut off at the end of the drain."""
    slow = held_up("a")
    first = asyncio.create_task(sweeper.sweep(slow))
    await slow.inside.wait()
    first.cancel()
    await asyncio.wait({first})
    heir = Sweeper(pool, asyncio.Event())

    async def taken_over() -> bool:
        report = await heir.sweep(Scripted("a", nothing))
        return report is not None and report.complete

    await wait_until(taken_over, "the lock to be free")  # at once, but where Postgres takes long to reset the connection, which ends it


async def test_changes_of_a_dry_run_are_undone(pool: Pool, sweeper: Sweeper) -> None:
    """Statements run, each sees what those before it did, and tell what they would do; nothing of it stays."""
    await pool.execute("create table things (name text)")

    class Writes(Scripted):
        async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
            for _ in range(2):
                await sweep.connection.execute("insert into things values ('a thing')")
                yield Counts(swept=await sweep.connection.fetchval("select count(*) from things"))

    for dry_run, left in (True, 0), (False, 2):
        report = await sweeper.sweep(Writes("a"), dry_run=dry_run)
        assert report is not None
        assert report.swept == 1 + 2
        assert await pool.fetchval("select count(*) from things") == left


async def test_a_dry_run_may_list_for_as_long_as_it_takes(pool: Pool, sweeper: Sweeper) -> None:
    """Batches may ask the database for nothing: its transaction is used after each, has minutes for one, and is not ended as abandoned."""
    used: list[datetime] = []

    class Lists(Scripted):
        async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
            limit = await sweep.connection.fetchval("select current_setting('idle_in_transaction_session_timeout')::interval")
            assert limit >= timedelta(minutes=5)
            for _ in range(3):
                used.append(
                    await pool.fetchval("select state_change from pg_stat_activity where pid = $1", sweep.connection.get_server_pid())
                )
                yield Counts()

    report = await sweeper.sweep(Lists("a"), dry_run=True)
    assert report is not None
    assert report.error is None, report.error
    assert len({*used}) == 3
