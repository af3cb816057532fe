"""Which requests it takes to list what is stored for many jobs, whatever lies between them."""

import math
import random
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from common.emptying import Emptied, empty, objects_of
from common.errors import Refused, TransientError
from common.ids import JobId
from common.jobs.job import Job, Result, Source, Status
from common.jobs.options import Options
from common.storage import Object, Storage
from common.storage_keys import ARCHIVES, AUDIO, PREFIXES, RESULTS

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Listing:
    """Keys in order, and how often a page of them was asked for. Refuses to delete what is `kept`; is away from the time set on."""

    def __init__(self, *keys: str, kept: tuple[str, ...] = ()) -> None:
        self.keys = sorted(keys)
        self.requests = 0
        self.listed = 0
        self.away_after = math.inf
        self._kept = kept

    async def page(self, prefix: str, *, after: str, size: int) -> tuple[list[Object], bool]:
        keys = [key for key in self.keys if key.startswith(prefix)]
        start = bisect_right(keys, after)
        found = keys[start : start + size]
        self._answer()
        self.requests += 1
        self.listed += len(found)
        return [Object(key, 1, timedelta(0)) for key in found], start + size < len(keys)

    async def delete_each(self, keys: list[str]) -> dict[str, Refused]:
        self._answer()
        asked = list(keys)
        self.keys = [key for key in self.keys if key not in asked or key in self._kept]
        return {key: Refused("storage_unavailable", "No.") for key in asked if key in self._kept}

    def _answer(self) -> None:
        self.away_after -= 1
        if self.away_after < 0:
            raise TransientError("storage_unavailable", "It is away.")


def numbered(*numbers: int) -> list[JobId]:
    return [JobId(UUID(int=number)) for number in numbers]


def store(listing: Listing) -> Storage:
    return cast("Storage", listing)


async def listed(listing: Listing, *numbers: int) -> list[str]:
    return [found.key async for found in objects_of(store(listing), RESULTS, numbered(*numbers))]


def result(number: int, name: str = "transcript.json") -> str:
    return f"{RESULTS}{UUID(int=number)}.lease.{name}"


async def test_neighbours_are_listed_together() -> None:
    """Some thousands of jobs take some requests."""
    listing = Listing(*(result(number) for number in range(3_000)))
    assert await listed(listing, *range(500, 2_500)) == [result(number) for number in range(500, 2_500)]
    assert listing.requests == 3  # the last one's end tells that there is no more of them


async def test_what_lies_between_is_passed_over() -> None:
    """Jobs far apart take a request each, and a short one."""
    listing = Listing(*(result(number) for number in range(50_000)))
    wanted = [10_000, 20_000, 30_000, 40_000]
    assert await listed(listing, *wanted) == [result(number) for number in wanted]
    assert listing.requests <= 6
    assert listing.listed < 100


@pytest.mark.parametrize("seed", range(6))
async def test_nothing_is_missed_and_nothing_is_anybody_elses(seed: int) -> None:
    """Whatever the jobs have, and wherever a page ends."""
    chance = random.Random(seed)  # noqa: S311 - a test that can be repeated
    stored = {number: [result(number, f"{part}.json") for part in range(chance.choice([0, 1, 1, 2, 60]))] for number in range(400)}
    wanted = chance.sample(range(450), chance.choice([1, 20, 300]))
    found = await listed(Listing(*chain(*stored.values()), f"{AUDIO}{UUID(int=wanted[0])}.source"), *wanted)
    assert found == sorted(key for number in wanted for key in stored.get(number, []))


def ended(number: int, **more: Any) -> Job:
    """A job that failed."""
    job = Job(
        id=JobId(UUID(int=number)),
        tenant="a",
        revision=1,
        status=Status.FAILED,
        priority=1,
        band=1,
        turn=1,
        options=Options(),
        source=Source(filename="a", content_type="a", size=1, sha256="a", kind="audio"),
        duration=None,
        duration_known=False,
        retention=timedelta(0),
        attempt=1,
        max_attempts=1,
        lease_token=None,
        lease_until=None,
        worker=None,
        stage=None,
        progress=0,
        result=None,
        error=None,
        trace=None,
        created_at=NOW,
        queued_at=NOW,
        claim_after=NOW,
        started_at=None,
        finished_at=NOW,
        expires_at=NOW,
        eta=None,
        cache=None,
    )
    return msgspec.structs.replace(job, **more)


async def test_a_job_is_empty_when_nothing_of_it_is_left() -> None:
    """Under any prefix; what is refused of one job makes no difference to another."""
    jobs = [ended(number) for number in (1, 2, 3)]
    everything = [key for job in jobs for key in (job.source_key, *(f"{prefix}{job.id}.x" for prefix in PREFIXES))]
    for kept in (jobs[1].source_key, f"{ARCHIVES}{jobs[1].id}.x"):
        listing = Listing(*everything, "audio/readme.txt", kept=(kept,))
        emptied = await empty(store(listing), jobs)
        assert emptied.jobs == [jobs[0].id, jobs[2].id]
        assert emptied.objects == len(everything) - 1
        assert listing.keys == sorted(["audio/readme.txt", kept])
    assert (await empty(store(listing), [])).jobs == []


async def test_results_are_listed_where_an_attempt_may_have_lost() -> None:
    """A job that was queued once and completed has those that its row names; archives and checkpoints are in no row."""
    result_keys = {"transcript": f"{RESULTS}{UUID(int=1)}.won.transcript.json"}
    won = Result(bucket="b", keys=result_keys, language="en", duration=1, speakers=1)
    done = ended(1, status=Status.COMPLETED, result=won)
    again = msgspec.structs.replace(done, queued_at=NOW + timedelta(seconds=1))
    others = [f"{ARCHIVES}{done.id}.x", f"{RESULTS}{done.id}.lost.transcript.json"]
    for job, left in ((done, others[1:]), (again, [])):
        listing = Listing(job.source_key, *result_keys.values(), *others)
        assert (await empty(store(listing), [job])).jobs == [job.id]
        assert listing.keys == left


async def test_jobs_that_are_all_held_are_passed_over() -> None:
    """One alone, or many: that the store keeps what it is asked to delete does not make it away."""
    for jobs in ([ended(1)], [ended(1), ended(2)]):
        keys = tuple(job.source_key for job in jobs)
        assert await empty(store(Listing(*keys, kept=keys)), jobs) == Emptied([], 0)


@pytest.mark.parametrize("requests", range(4))
async def test_of_a_store_that_is_away_nothing_is_said(requests: int) -> None:
    """Whichever request is the first to fail, of what it was about some may be left."""
    jobs = [ended(1), ended(2)]
    listing = Listing(*(job.source_key for job in jobs))
    listing.away_after = requests
    with pytest.raises(TransientError, match="It is away"):
        await empty(store(listing), jobs)
