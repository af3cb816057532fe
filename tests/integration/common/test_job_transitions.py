"""Every transition is one guarded statement plus its event: what finds the job elsewhere changes nothing and announces nothing."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import pytest
from msgspec.structs import replace

from common import ids
from common.database import Connection, Pool
from common.ids import JobId, LeaseToken
from common.jobs import listing, objects, removal, store, upkeep
from common.jobs.job import Job, Result, Status
from common.jobs.listing import Filters
from tests.jobs import BROKEN, HOUR, LOST, Announced, announced, claimed, finished, forget_events, queued, reread

RESULT = Result(bucket="bucket", keys={"transcript": "results/a/b/transcript.json"}, language="en", duration=1.0, speakers=1)
DELAY = timedelta(minutes=5)

Transition = Callable[[Connection, Job], Awaitable[Job | None]]

TRANSITIONS: dict[str, Transition] = {
    "renew": lambda connection, job: store.renew(connection, job, lease=HOUR, stage="transcribe", progress=50),
    "finish": lambda connection, job: store.finish(connection, job, RESULT),
    "fail": lambda connection, job: store.fail(connection, job, BROKEN),
    "retry": lambda connection, job: store.retry(connection, job, BROKEN, DELAY),
    "release": store.release,
}
OUTCOMES = {
    "renew": (Status.PROCESSING, None),
    "finish": (Status.COMPLETED, "job.completed"),
    "fail": (Status.FAILED, "job.failed"),
    "retry": (Status.QUEUED, "job.requeued"),
    "release": (Status.QUEUED, "job.requeued"),
}


@pytest.mark.parametrize("name", TRANSITIONS)
async def test_the_holder_of_the_lease_may_change_the_job_and_the_change_is_announced(pool: Pool, name: str) -> None:
    """Each transition by the lease's holder changes the status and adds exactly its own event."""
    status, event = OUTCOMES[name]
    async with pool.acquire() as connection:
        await queued(connection)
        job = await claimed(connection)
        await forget_events(connection)

        changed = await TRANSITIONS[name](connection, job)

        assert changed is not None
        assert changed.status is status
        assert await announced(connection) == ([] if event is None else [Announced(event, str(job.id))])


async def test_what_decoding_shows_is_the_jobs(pool: Pool) -> None:
    """Its length and whether it is a video replace what was guessed; who has nothing to say about it changes nothing."""
    async with pool.acquire() as connection:
        await queued(connection, duration=5.0)
        job = await claimed(connection)
        told = await store.renew(connection, job, lease=HOUR, stage="vad", progress=5, duration=7.5, kind="video")
        later = await store.renew(connection, job, lease=HOUR, stage="transcribe", progress=9)
        assert told is not None
        assert later is not None
        assert (told.duration, told.source) == (later.duration, later.source) == (7.5, replace(job.source, kind="video"))
        assert (await finished(connection, job)).source.kind == "video"


@pytest.mark.parametrize("name", TRANSITIONS)
async def test_a_worker_without_the_lease_changes_nothing(pool: Pool, name: str) -> None:
    """A worker that woke from the dead holds another lease token: 0 rows, no event."""
    async with pool.acquire() as connection:
        await queued(connection)
        job = await claimed(connection)
        await forget_events(connection)

        assert await TRANSITIONS[name](connection, replace(job, lease_token=LeaseToken(ids.new()))) is None

        assert await reread(connection, job) == job
        assert await announced(connection) == []


@pytest.mark.parametrize("name", TRANSITIONS)
async def test_a_job_that_is_not_processing_is_left_as_it_is(pool: Pool, name: str) -> None:
    """Whatever has become of the job meanwhile, its former worker changes nothing, even with the token it once had."""
    async with pool.acquire() as connection:
        await queued(connection)
        held = await claimed(connection)
        await forget_events(connection)
        for status in set(Status) - {Status.PROCESSING}:
            await connection.execute(
                "update jobs set status = $1, lease_token = null, lease_until = null, result = '{}', error = '{}'", status.value
            )
            before = await connection.fetchrow("select * from jobs")

            assert await TRANSITIONS[name](connection, held) is None

            assert await connection.fetchrow("select * from jobs") == before
            assert await announced(connection) == []


async def test_a_job_is_created_with_its_token_or_not_at_all(pool: Pool) -> None:
    """The row and `job.created` are one transaction: a rollback takes both."""
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        job = await queued(connection)
        assert await announced(connection) == [Announced("job.created", str(job.id))]
        await transaction.rollback()
        assert await announced(connection) == []
        assert await store.get(connection, job.id, job.tenant) is None


async def test_another_tenants_job_is_not_there(pool: Pool) -> None:
    """A job is read with its tenant's name only."""
    async with pool.acquire() as connection:
        job = await queued(connection)
        assert await store.get(connection, job.id, "other") is None
        assert await listing.page(connection, "other", Filters(), after=None, limit=10) == []


async def test_a_failed_event_takes_the_change_back(pool: Pool) -> None:
    """Nothing changes of a job, whatever was to be done with it, when the event of that cannot be stored."""
    async with pool.acquire() as connection:
        _, _, waiting = [await queued(connection, retention=retention) for retention in (LOST, HOUR, HOUR)]
        over, held = await finished(connection, await claimed(connection)), await claimed(connection, lease=LOST)
        failing: dict[str, Callable[[], Awaitable[object]]] = {
            "create": lambda: queued(connection),
            "claim": lambda: claimed(connection),
            "cancel": lambda: store.cancel(connection, waiting.id, waiting.tenant),
            **{name: partial(change, connection, held) for name, change in TRANSITIONS.items() if OUTCOMES[name][1]},
            "rescue": lambda: upkeep.rescue(connection, limit=1),
            "expire": lambda: removal.expire(connection, [over]),
            "delete": lambda: removal.delete(connection, over.id, over.tenant),
        }
        await connection.execute("alter table outbox add constraint nothing_is_told check (false) not valid")
        before = await connection.fetch("select * from jobs order by id")
        for name, change in failing.items():
            with pytest.raises(Exception, match="nothing_is_told"):
                await change()
            assert await connection.fetch("select * from jobs order by id") == before, name


async def test_heartbeats_move_progress_forward_only(pool: Pool) -> None:
    """A report that arrives late does not turn progress back, and the lease counts from the database's now."""
    async with pool.acquire() as connection:
        await queued(connection)
        job = await claimed(connection, lease=timedelta(seconds=15))
        await store.renew(connection, job, lease=HOUR, stage="transcribe", progress=60)
        late = await store.renew(connection, job, lease=HOUR, stage="transcribe", progress=40)
        assert late is not None
        assert late.progress == pytest.approx(60)
        remaining = await connection.fetchval("select lease_until - now() from jobs")
        assert HOUR - timedelta(minutes=5) < remaining <= HOUR


async def test_a_retry_waits_and_keeps_its_reason(pool: Pool) -> None:
    """After a transient failure the job is claimable only after the delay, and so is its token due; the error stays readable."""
    async with pool.acquire() as connection:
        await queued(connection)
        job = await claimed(connection)
        await forget_events(connection)
        waiting = await store.retry(connection, job, BROKEN, DELAY)
        assert waiting is not None
        assert waiting.error == BROKEN
        assert waiting.attempt == 1
        assert await store.claim(connection, LeaseToken(ids.new()), lease=HOUR, worker="test") is None
        assert await connection.fetchval("select claim_after = available_at from jobs, outbox")

        await connection.execute("update jobs set claim_after = now()")
        assert (await claimed(connection)).attempt == 2


async def test_no_retry_is_left_after_the_last_attempt(pool: Pool) -> None:
    """The last attempt cannot be retried, only failed."""
    async with pool.acquire() as connection:
        await queued(connection, max_attempts=1)
        job = await claimed(connection)
        assert await store.retry(connection, job, BROKEN, DELAY) is None
        failed = await store.fail(connection, job, BROKEN)
        assert failed is not None
        assert failed.expires_at is not None


async def test_our_own_shutdown_spends_no_attempt_and_no_place_in_the_queue(pool: Pool) -> None:
    """A released job is as before it was claimed: the same attempts left, still ahead of what was submitted after it."""
    async with pool.acquire() as connection:
        first, _ = await queued(connection, max_attempts=1), await queued(connection)
        released = await store.release(connection, await claimed(connection))
        assert released is not None
        assert released.attempt == 0
        again = await claimed(connection)
        assert (again.id, again.attempt) == (first.id, 1)


async def test_rescue_takes_only_leases_that_ran_out(pool: Pool) -> None:
    """A lost job is queued again, ahead of what was submitted after it; a running one is not touched."""
    async with pool.acquire() as connection:
        lost, running, later = await queued(connection), await queued(connection), await queued(connection)
        await claimed(connection, lease=LOST)
        held = await claimed(connection)
        await forget_events(connection)

        rescued = await upkeep.rescue(connection, limit=10)

        assert [job.id for job in rescued] == [lost.id]
        assert rescued[0].status is Status.QUEUED
        assert rescued[0].error is not None
        assert rescued[0].error.code == "worker_lost"
        assert await announced(connection) == [Announced("job.requeued", str(lost.id))]
        assert await reread(connection, running) == held
        assert [(await claimed(connection)).id for _ in range(2)] == [lost.id, later.id]


async def test_rescue_fails_a_job_whose_attempts_are_used_up(pool: Pool) -> None:
    """A job that takes every worker down with it ends as failed, and will expire."""
    async with pool.acquire() as connection:
        job = await queued(connection, max_attempts=1)
        await claimed(connection, lease=LOST)
        await forget_events(connection)
        [failed] = await upkeep.rescue(connection, limit=10)
        assert failed.status is Status.FAILED
        assert failed.expires_at is not None
        assert await announced(connection) == [Announced("job.failed", str(job.id))]


async def test_a_worker_that_wakes_from_the_dead_cannot_finish(pool: Pool) -> None:
    """After a rescue the former worker's result is refused and the next worker's is taken."""
    async with pool.acquire() as connection:
        await queued(connection)
        zombie = await claimed(connection, lease=LOST)
        await upkeep.rescue(connection, limit=10)
        heir = await claimed(connection)
        assert await store.finish(connection, zombie, RESULT) is None
        assert (await finished(connection, heir)).attempt == 2


async def test_only_what_is_due_expires(pool: Pool) -> None:
    """Expiry needs a final status and a time in the past; the row stays, its result is forgotten."""
    async with pool.acquire() as connection:
        for retention in (LOST, HOUR):
            await queued(connection, retention=retention)
        due, kept = [await finished(connection, await claimed(connection)) for _ in range(2)]
        await forget_events(connection)

        assert [job.id for job in await removal.due_to_expire(connection, after=None, limit=10)] == [due.id]
        assert await removal.expire(connection, [kept]) == []
        assert await announced(connection) == []
        [expired] = await removal.expire(connection, [kept, due])

        assert (expired.id, expired.status, expired.result) == (due.id, Status.EXPIRED, None)
        assert await announced(connection) == [Announced("job.expired", str(due.id))]
        assert await removal.expire(connection, [due, replace(due, id=JobId(ids.new()))]) == []


async def test_due_jobs_come_in_pages(pool: Pool) -> None:
    """Each page follows the last, so one job that cannot be dealt with does not hold up those behind it."""
    async with pool.acquire() as connection:
        for _ in range(5):
            await queued(connection, retention=LOST)
        jobs = [await finished(connection, await claimed(connection)) for _ in range(5)]
        await connection.execute("update jobs set expires_at = date_trunc('hour', now()) - interval '1 hour'")  # ties

        seen: list[JobId] = []
        page = await removal.due_to_expire(connection, after=None, limit=2)
        while page:
            seen += [job.id for job in page]
            page = await removal.due_to_expire(connection, after=page[-1], limit=2)

        assert sorted(seen) == sorted(job.id for job in jobs)


async def test_events_continue_the_jobs_trace(pool: Pool) -> None:
    """What happens outside of any span, as a rescue does, is announced under the trace of the submission."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with pool.acquire() as connection:
        await queued(connection, trace=trace)
        await claimed(connection, lease=LOST)
        await upkeep.rescue(connection, limit=1)
        assert {row["trace"] for row in await connection.fetch("select trace from outbox")} == {trace}


async def test_owners_name_the_running_attempt_and_the_winner(pool: Pool) -> None:
    """A job owns the results of its running attempt or of the one that won; ids that are no jobs have no owner."""
    async with pool.acquire() as connection:
        await queued(connection)
        won = await claimed(connection)
        await finished(connection, won)
        await queued(connection)
        running = await claimed(connection)
        stranger = JobId(ids.new())

        owners = await objects.owners(connection, [won.id, running.id, stranger])

        assert {job_id: owner.leases for job_id, owner in owners.items()} == {
            won.id: {won.lease_token},
            running.id: {running.lease_token},
        }


async def test_the_true_duration_is_kept_once_it_is_known(pool: Pool) -> None:
    """A heartbeat that tells it replaces the estimate; one that does not leaves it."""
    async with pool.acquire() as connection:
        await queued(connection)
        job = await claimed(connection)
        assert not job.duration_known
        for duration in (12.5, None):
            renewed = await store.renew(connection, job, lease=HOUR, stage="vad", progress=1, duration=duration)
            assert renewed is not None
            assert (renewed.duration, renewed.duration_known) == (12.5, True)


async def test_nothing_is_tried_again_without_its_recording(pool: Pool) -> None:
    """Whoever saw the recording a moment before it was deleted by itself queues no job that points at nothing."""
    async with pool.acquire() as connection:
        job = await queued(connection)
        await store.cancel(connection, job.id, job.tenant)
        assert await objects.forget_recordings(connection, [job]) == 1
        assert await store.resubmit(connection, job.id, job.tenant) is None
        assert (await reread(connection, job)).status is Status.CANCELLED
