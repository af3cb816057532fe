"""How the janitor goes about its work: page by page, thing by thing, again and again."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import timedelta

import pytest

from common.errors import PermanentError, Refused, TransientError, VerbatimError
from common.paging import pages
from common.settings import SettingsError, load
from common.tolerance import attempt_each
from services.janitor.duty import Counts, Duty, Sweep
from services.janitor.schedule import every, rest
from services.janitor.settings import Settings

AWAY = TransientError("storage_unavailable", "The store is away.")
REQUIRED = {"DATABASE_URL": "postgresql://x", "AMQP_URL": "amqp://x", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


@pytest.mark.parametrize(("count", "expected"), [(0, []), (2, [[0, 1]]), (3, [[0, 1, 2]]), (4, [[0, 1, 2], [3]])])
async def test_a_listing_comes_in_pages(count: int, expected: list[list[int]]) -> None:
    """Every item once, in order; no empty page."""
    assert [page async for page in pages(numbers(count), 3)] == expected


async def test_one_failure_keeps_no_other_from_success() -> None:
    """The things that could be dealt with are told, in order."""

    async def refuse_odd(number: int) -> None:
        if number % 2:
            raise AWAY

    assert await attempt_each(range(6), refuse_odd, at_once=2) == [0, 2, 4]


async def test_when_none_is_answered_the_cause_is_told() -> None:
    """A store that is away ends the sweep instead of being asked for every single thing."""

    async def fail(_number: int) -> None:
        raise AWAY

    with pytest.raises(TransientError, match="away"):
        await attempt_each(range(3), fail, at_once=2)
    assert await attempt_each([], fail, at_once=2) == []


@pytest.mark.parametrize("answer", [Refused("storage_unavailable", "It is held."), PermanentError("gone", "It is gone.")])
@pytest.mark.parametrize("count", [1, 3])
async def test_what_is_refused_is_passed_over(answer: VerbatimError, count: int) -> None:
    """One alone, or many: whoever refuses is there."""

    async def refuse(_number: int) -> None:
        raise answer

    assert await attempt_each(range(count), refuse, at_once=2) == []


async def test_no_more_at_once_than_allowed() -> None:
    """However many things there are, only so many are under way."""
    running, most = 0, 0

    async def work(_number: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    await attempt_each(range(20), work, at_once=3)
    assert most == 3


class Nothing:
    """A duty with a name and nothing to do."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def batches(self, _sweep: Sweep) -> AsyncGenerator[Counts, None]:
        yield Counts()


class Notebook:
    """Notes what is to be swept, and calls it a day after a number of sweeps."""

    def __init__(self, stopping: asyncio.Event, limit: int) -> None:
        self.swept: list[str] = []
        self._stopping = stopping
        self._limit = limit

    async def sweep(self, duty: Duty) -> None:
        self.swept.append(duty.name)
        if len(self.swept) == self._limit:
            self._stopping.set()


async def test_sweeps_begin_at_once_and_come_again() -> None:
    """At the start, as nothing is remembered; in order, round after round; and not one more once told to stop."""
    stopping = asyncio.Event()
    notebook = Notebook(stopping, 5)
    async with asyncio.timeout(60):
        await every(timedelta(milliseconds=1), [Nothing("a"), Nothing("b")], notebook, stopping)
    assert notebook.swept == ["a", "b", "a", "b", "a"]


async def test_a_pause_ends_when_told_to_stop() -> None:
    """Nobody waits ten minutes for a janitor to end."""
    stopping = asyncio.Event()
    task = asyncio.create_task(every(timedelta(hours=1), [Nothing("a")], Notebook(stopping, 2), stopping))
    await asyncio.sleep(0)
    stopping.set()
    await asyncio.wait_for(task, 60)


@pytest.mark.parametrize(
    ("failed", "longest", "expected"),
    [(0, 600, 2), (1, 600, 4), (9, 600, 20), (299, 600, 600), (100_000, 600, 600), (9, 0, 2), (9, 1, 2)],
)
def test_what_failed_is_asked_for_less_often(failed: int, longest: int, expected: int) -> None:
    """One thing that is held delays the others by seconds; many are asked for no more often than the longest pause allows."""
    assert rest(timedelta(seconds=2), failed, timedelta(seconds=longest)) == timedelta(seconds=expected)


def test_settings_have_the_documented_defaults() -> None:
    """What a user who sets nothing gets."""
    settings = load(Settings, REQUIRED)
    assert settings.rescue_interval == timedelta(seconds=2)
    assert settings.cleanup_interval == timedelta(minutes=10)
    assert settings.stale_upload == timedelta(hours=24)
    assert settings.orphan_grace == timedelta(hours=24)
    assert settings.audio_retention is None
    assert not settings.delete_audio_after_success
    assert settings.reconcile_interval == timedelta(hours=6)
    assert (settings.tombstone_retention, settings.delivery_retention) == (timedelta(days=30), timedelta(days=30))
    assert settings.dead_letter_retention == timedelta(days=14)


@pytest.mark.parametrize(
    "wrong",
    [
        {"RESCUE_INTERVAL_SECONDS": "0"},
        {"CLEANUP_INTERVAL_MINUTES": "-1"},
        {"RECONCILE_INTERVAL_HOURS": "0"},
        {"ORPHAN_GRACE_HOURS": "-1"},
        {"AUDIO_RETENTION_HOURS": "-1"},
        {"TOMBSTONE_RETENTION_DAYS": "0.9"},
        {"DELIVERY_RETENTION_DAYS": "0"},
        {"DEAD_LETTER_RETENTION_DAYS": "-1"},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, str]) -> None:
    """By the name of the variable."""
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        load(Settings, {**REQUIRED, **wrong})
