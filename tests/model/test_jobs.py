"""A job's transitions against a model: whatever workers, zombies, users and janitors do, in whatever order and at the same time.

Hypothesis chooses what happens next, Postgres carries it out, and after every step rows, events and bucket must be what the model says and
keep the design's laws. `MODEL_EXAMPLES=2000` is the long form, with another seed each time; the short one always takes the same ways.
"""

import asyncio
import os
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from common import database, ids
from common.ids import JobId
from common.jobs.job import Job, Status
from common.storage_keys import source_key, transcript_key
from tests.model.errands import MAKES, Errand
from tests.model.steps import Cancel, Fail, Finish, Lose, Reissue, Release, Renew, Rescue, Retry, Step, Submit, claim
from tests.model.world import Seen, Terms, World, laws, look, readable

T = TypeVar("T")

_LONG = os.environ.get("MODEL_EXAMPLES")
_EXAMPLES = int(_LONG or 25)
_STEPS = 40
_OPEN = 3
_FEW = 2
"""Jobs at a time: so few that what happens meets."""

_PICKS = st.integers(0, 99)


class Ground:
    """What all examples share: a loop, and connections to one database."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._opening = database.connect(url, name="model", max_size=_OPEN + 3)
        self.pool = self.run(self._opening.__aenter__())
        self.run(self.pool.execute("create table published (like outbox)"))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(asyncio.wait_for(work, 60))

    def close(self) -> None:
        self.run(self._opening.__aexit__(None, None, None))
        self._runner.close()


class Jobs(RuleBasedStateMachine):
    """`leases` are all that were ever given, so that most writes come from workers that have lost theirs.

    A rule that has nothing to do does nothing: a precondition that fails a few times would cost Hypothesis the whole example.
    """

    def __init__(self, ground: Ground) -> None:
        super().__init__()
        self._ground = ground
        self._world = World()
        self._keys: set[str] = set()
        self._leases: list[Job] = []
        self._errands: list[Errand] = []
        self._going: set[JobId] = set()

    @initialize(max_attempts=st.integers(2, 3), due=st.booleans())
    def start(self, max_attempts: int, due: bool) -> None:  # noqa: FBT001 - drawn by name
        """Two jobs, one of which has lost a worker: each example goes without some of the rules, and something must be there."""
        for _ in range(_FEW):
            self._take(self._submission(max_attempts, due=due))
        self._take(claim(lasting=False))
        self._take(Rescue())
        self._take(claim(lasting=True))

    def teardown(self) -> None:
        for errand in self._errands:
            self._ground.run(errand.end())
        self._ground.run(self._empty())

    @rule(max_attempts=st.integers(1, 2), due=st.booleans())
    def submit(self, max_attempts: int, due: bool) -> None:  # noqa: FBT001 - drawn by name
        if len(self._world.rows) >= _FEW:
            return
        self._take(self._submission(max_attempts, due=due))

    @rule(lasting=st.booleans(), limited=st.booleans())
    def claim(self, lasting: bool, limited: bool) -> None:  # noqa: FBT001 - drawn by name
        self._take(claim(lasting=lasting, per_tenant=2 if limited else None))

    @rule()
    def rescue(self) -> None:
        self._take(Rescue())

    @rule(at_once=st.booleans())
    def lose(self, at_once: bool) -> None:  # noqa: FBT001 - drawn by name
        """Every token that was published; who may be claimed gets another, at once or with whatever comes first."""
        self._take(Lose())
        if at_once:
            self._take(Reissue())

    @rule(data=st.data())
    def work(self, data: st.DataObject) -> None:
        if not self._leases:
            return
        self._take(data.draw(self._working(self._leases)))

    @rule(data=st.data())
    def haunt(self, data: st.DataObject) -> None:
        """A worker that has lost its job writes to it while another has it."""
        if not self._stale():
            return
        self._take(data.draw(self._working(self._stale())))

    @rule(pick=_PICKS)
    def cancel(self, pick: int) -> None:
        if not self._world.rows:
            return
        self._take(Cancel(self._any_job(pick)))

    @rule(data=st.data())
    def race(self, data: st.DataObject) -> None:
        """Two at the same moment: one of the two orders explains what comes of it."""
        if not self._leases:
            return
        steps = data.draw(st.tuples(self._anything(), self._anything()))
        for step in steps:
            self._prepare(step)
        outcomes = self._ground.run(self._both(*steps))
        taken = list(zip(steps, outcomes, strict=True))
        seen = self._look()
        explained = self._followed(taken, seen) or self._followed(taken[::-1], seen)
        assert explained is not None, f"no order explains {steps} -> {outcomes}: {seen}"
        self._world = explained
        self._keep_leases(*outcomes)

    @rule(kind=st.sampled_from(sorted(MAKES)), pick=_PICKS, status=st.sampled_from(Status))
    def begin(self, kind: str, pick: int, status: Status) -> None:
        """An errand starts, and is held up at the bucket."""
        if not (self._world.rows and len(self._errands) < _OPEN):
            return

        async def start() -> Errand:
            return Errand(kind, self._ground.pool, self._keys, self._any_job(pick), status)

        if kind == "delete":
            self._going.add(self._any_job(pick))
        if kind == "clear":
            self._going |= {job_id for job_id, row in self._world.rows.items() if row.status is status}
        self._errands.append(self._ground.run(start()))
        self._advance(self._errands[-1])

    @rule(pick=_PICKS)
    def advance(self, pick: int) -> None:
        """An errand goes on, from one side of its visit to the bucket to the other."""
        if not self._errands:
            return
        self._advance(self._errands[pick % len(self._errands)])

    @invariant()
    def as_it_should_be(self) -> None:
        seen = self._look()
        laws(seen)
        readable(seen, {job_id for job_id, terms in self._world.terms.items() if not terms.due} - self._going)
        assert seen.agrees(self._world), f"{seen}\nis not\n{self._world}"

    def _submission(self, max_attempts: int, *, due: bool) -> Submit:
        return Submit(JobId(ids.new()), Terms(max_attempts=max_attempts, due=due))

    def _anything(self) -> st.SearchStrategy[Step]:
        return st.one_of(
            self._working(self._leases),
            st.builds(claim, lasting=st.booleans(), per_tenant=st.sampled_from([None, 1])),
            st.builds(lambda pick: Cancel(self._any_job(pick)), _PICKS),
            st.just(Rescue()),
            st.just(Reissue()),
            st.builds(lambda attempts, due: self._submission(attempts, due=due), st.integers(1, 2), st.booleans()),
        )

    def _stale(self) -> list[Job]:
        """Leases of jobs that are others' now."""
        rows = self._world.rows
        return [job for job in self._leases if job.id in rows and rows[job.id].lease not in {None, job.lease_token}]

    def _working(self, held: list[Job]) -> st.SearchStrategy[Step]:
        """What a worker does with a lease that it has, or had."""
        leases = st.sampled_from(held)
        return st.one_of(
            st.builds(Renew, leases, st.booleans()),
            st.builds(Finish, leases),
            st.builds(Fail, leases),
            st.builds(Retry, leases, st.booleans()),
            st.builds(Release, leases),
        )

    def _any_job(self, pick: int) -> JobId:
        """One that is there, or was."""
        return list(self._world.terms)[pick % len(self._world.terms)]

    def _prepare(self, step: Step) -> None:
        """Bytes come before what points at them."""
        match step:
            case Submit(job_id):
                self._keys.add(source_key(job_id))
            case Finish(job):
                assert job.lease_token is not None
                self._keys.add(transcript_key(job.id, job.lease_token))

    def _take(self, step: Step) -> None:
        self._prepare(step)
        outcome = self._ground.run(self._one(step))
        assert step.follow(self._world, outcome, alone=True), f"{step} -> {outcome} cannot be: {self._world}"
        self._keep_leases(outcome)

    def _followed(self, order: list[tuple[Step, object]], seen: Seen) -> World | None:
        world = self._world.copy()
        if all(step.follow(world, outcome, alone=False) for step, outcome in order) and seen.agrees(world):
            return world
        return None

    def _keep_leases(self, *outcomes: object) -> None:
        self._leases += [outcome for outcome in outcomes if isinstance(outcome, Job)]

    def _advance(self, errand: Errand) -> None:
        """The model takes over what the errand did, if that was its to do."""
        self._ground.run(errand.advance())
        if errand.done:
            self._errands.remove(errand)
        seen = self._look()
        for job_id, events in seen.events.items():
            before = self._world.events.get(job_id, ())
            assert events[: len(before)] == before
            assert set(events[len(before) :]) <= MAKES[errand.kind], f"{errand.kind} made {events[len(before) :]}"
            for event in events[len(before) :]:
                self._world.change(job_id, seen.rows.get(job_id), event)

    def _look(self) -> Seen:
        async def read() -> Seen:
            async with self._ground.pool.acquire() as connection:
                return await look(connection, frozenset(self._keys))

        return self._ground.run(read())

    async def _one(self, step: Step) -> object:
        async with self._ground.pool.acquire() as connection:
            return await step.take(connection)

    async def _both(self, first: Step, second: Step) -> tuple[object, object]:
        return await asyncio.gather(self._one(first), self._one(second))

    async def _empty(self) -> None:
        async with self._ground.pool.acquire() as connection:
            await connection.execute("delete from jobs; delete from outbox; delete from published; update queue_rounds set turn = 0")


@pytest.fixture
def ground(database_url: str) -> Iterator[Ground]:
    """Closed when the test is over."""
    shared = Ground(database_url)
    yield shared
    shared.close()


def test_no_order_of_events_breaks_a_law(ground: Ground) -> None:
    """Exactly one event for each change, one live lease for each job, no row that points at nothing, nothing changed by a zombie."""

    class Here(Jobs):
        def __init__(self) -> None:
            super().__init__(ground)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=_EXAMPLES,
            stateful_step_count=_STEPS,
            deadline=None,
            derandomize=_LONG is None,
            database=None,
            suppress_health_check=list(HealthCheck),
            # The long form looks for the shortest way to what it has found, which takes minutes.
            phases=list(Phase) if _LONG else [Phase.generate],
        ),
    )
