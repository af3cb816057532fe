"""One transition each: taken against Postgres, and followed by the model.

`follow` says whether what came of the real one is allowed where the model stands, and moves the model on if so. Two that were taken at the
same time are right if one of the two orders explains both; `alone` is False for those, as a step may then pass over rows that the other
had locked.
"""

from datetime import timedelta
from typing import Protocol

import msgspec

from common import ids
from common.database import Connection
from common.ids import JobId, LeaseToken
from common.jobs import store, upkeep
from common.jobs.job import Failure, Job, Result, Source, Status
from common.jobs.options import Options
from common.storage_keys import transcript_key
from tests.model.world import Row, Terms, World

HOUR = timedelta(hours=1)
PAST = timedelta(seconds=-1)
TENANT = "default"

_SOURCE = Source(filename="a.wav", content_type="audio/wav", size=1, sha256="00" * 32, kind="audio")
_BROKEN = Failure("broken", "It broke.", retryable=True)

Outcome = object


class Step(Protocol):
    async def take(self, connection: Connection) -> Outcome: ...

    def follow(self, world: World, outcome: Outcome, *, alone: bool) -> bool: ...


class Submit(msgspec.Struct, frozen=True):
    """(new) -> queued; the recording is in the bucket already."""

    job_id: JobId
    terms: Terms

    async def take(self, connection: Connection) -> Outcome:
        await store.create(
            connection,
            job_id=self.job_id,
            tenant=TENANT,
            options=Options(),
            source=_SOURCE,
            retention=PAST if self.terms.due else HOUR,
            max_attempts=self.terms.max_attempts,
            trace=None,
        )
        return True

    def follow(self, world: World, outcome: Outcome, *, alone: bool) -> bool:  # noqa: ARG002 - the interface
        world.terms[self.job_id] = self.terms
        world.change(self.job_id, Row(status=Status.QUEUED), "job.created")
        return True


class Claim(msgspec.Struct, frozen=True):
    """queued -> processing, under a lease that lasts or has run out at once; the outcome is the job."""

    token: LeaseToken
    lasting: bool
    per_tenant: int | None

    async def take(self, connection: Connection) -> Outcome:
        lease = HOUR if self.lasting else PAST
        return await store.claim(connection, self.token, lease=lease, worker="model", jobs_per_tenant=self.per_tenant)

    def follow(self, world: World, outcome: Outcome, *, alone: bool) -> bool:
        working = sum(row.status is Status.PROCESSING for row in world.rows.values())
        room = self.per_tenant is None or working < self.per_tenant
        ready = world.claimable if room else set()
        if not isinstance(outcome, Job):
            return not ready or (not alone and self.per_tenant is not None)
        if outcome.id not in ready:
            return False
        row = world.rows[outcome.id]
        world.change(outcome.id, Row(status=Status.PROCESSING, attempt=row.attempt + 1, lease=self.token), "job.started")
        if not self.lasting:
            world.lost.add(self.token)
        return True


class Renew(msgspec.Struct, frozen=True):
    """processing -> processing."""

    job: Job
    lasting: bool

    async def take(self, connection: Connection) -> Outcome:
        return await store.renew(connection, self.job, lease=HOUR if self.lasting else PAST, stage="vad", progress=1) is not None

    def follow(self, world: World, outcome: Outcome, *, alone: bool) -> bool:  # noqa: ARG002 - the interface
        row = world.held(self.job.id, self.job.lease_token)
        if row is not None and row.lease is not None:
            world.lost.discard(row.lease)
            if not self.lasting:
                world.lost.add(row.lease)
        return outcome is (row is not None)


class Finish(msgspec.Struct, frozen=True):
    """processing -> completed; the transcript is in the bucket already, whether or not the job is still ours."""

    job: Job

    async def take(self, connection: Connection) -> Outcome:
        assert self.job.lease_token is not None
        keys = {"transcript": transcript_key(self.job.id, self.job.lease_token)}
        result = Result(bucket="bucket", keys=keys, language="en", duration=1.0, speakers=0)
        return await store.finish(connection, self.job, result) is not None

    def follow(self, world: World, outcome: Outcome, *, alone: bool) -> bool:  # noqa: ARG002 - the interface
        row = world.held(self.job.id, self.job.lease_token)
        if row is not None:
            world.change(self.job.id, Row(status=Status.COMPLETED, attempt=row.attempt, result=row.lease), "job.completed")
        return outcome is (row is not None)


class Fail(msgspec.Struct, frozen=True):
    """processing -> failed."""

    job: Job

    async def take(self, connection: Connection) -> Outcome:
        return await store.fail(connection, self.job, _BROKEN) is not None

    def follow(self, world: World, outcome: Outcome, *, alone: bool) -> bool:  # noqa: ARG002 - the interface
        row = world.held(self.job.id, self.job.lease_token)
        if row is not None:
            world.change(self.job.id, Row(status=Status.FAILED, attempt=row.attempt), "job.failed")
        return outcome is (row is not None)


class Retry(msgspec.Struct, frozen=True):
    """processing -> queued, claimable at once or not for an hour; nothing when no attempts are left."""

    job: Job
    later: bool

    async def take(self, connection: Connection) -> Outcome:
        return await store.retry(connection, self.job, _BROKEN, HOUR if self.later else PAST) is not None

    def follow(self, world: World, outcome: Outcome, *, alone: bool) -> bool:  # noqa: ARG002 - the interface
        row = world.held(self.job.id, self.job.lease_token)
        if row is None or row.attempt >= world.terms[self.job.id].max_attempts:
            return outcome is False
        world.change(self.job.id, Row(status=Status.QUEUED, attempt=row.attempt), "job.requeued", later=self.later)
        if self.later:
            world.waiting.add(self.job.id)
        return outcome is True


class Release(msgspec.Struct, frozen=True):
    """processing -> queued, the attempt given back."""

    job: Job

    async def take(self, connection: Connection) -> Outcome:
        return await store.release(connection, self.job) is not None

    def follow(self, world: World, outcome: Outcome, *, alone: bool) -> bool:  # noqa: ARG002 - the interface
        row = world.held(self.job.id, self.job.lease_token)
        if row is not None:
            world.change(self.job.id, Row(status=Status.QUEUED, attempt=row.attempt - 1), "job.requeued")
        return outcome is (row is not None)


class Cancel(msgspec.Struct, frozen=True):
    """queued | processing -> cancelled."""

    job_id: JobId

    async def take(self, connection: Connection) -> Outcome:
        return await store.cancel(connection, self.job_id, TENANT) is not None

    def follow(self, world: World, outcome: Outcome, *, alone: bool) -> bool:  # noqa: ARG002 - the interface
        row = world.rows.get(self.job_id)
        open_ = row is not None and not row.status.final
        if row is not None and open_:
            world.change(self.job_id, Row(status=Status.CANCELLED, attempt=row.attempt), "job.cancelled")
        return outcome is open_


class Rescue(msgspec.Struct, frozen=True):
    """processing -> queued or failed, for all whose lease ran out; the outcome is what became of each."""

    async def take(self, connection: Connection) -> Outcome:
        return {job.id: job.status for job in await upkeep.rescue(connection, limit=100)}

    def follow(self, world: World, outcome: Outcome, *, alone: bool) -> bool:
        lost = {job_id: row for job_id, row in world.rows.items() if row.lease in world.lost}
        rescued: dict[JobId, Status] = msgspec.convert(outcome, dict[JobId, Status])
        if not rescued.keys() <= lost.keys() or (alone and rescued.keys() != lost.keys()):
            return False
        for job_id, status in rescued.items():
            over = lost[job_id].attempt >= world.terms[job_id].max_attempts
            if status is not (Status.FAILED if over else Status.QUEUED):
                return False
            world.change(job_id, Row(status=status, attempt=lost[job_id].attempt), "job.failed" if over else "job.requeued")
        return True


class Lose(msgspec.Struct, frozen=True):
    """queued -> queued: all that is due is published, and the broker loses it."""

    async def take(self, connection: Connection) -> Outcome:
        await connection.execute("with due as (delete from outbox where available_at <= now() returning *) insert into published table due")
        return None

    def follow(self, world: World, outcome: Outcome, *, alone: bool) -> bool:  # noqa: ARG002 - the interface
        world.tokens.clear()
        return True


class Reissue(msgspec.Struct, frozen=True):
    """queued -> queued: a new token for each that may be claimed and has none; the outcome is who got one."""

    async def take(self, connection: Connection) -> Outcome:
        return {job.id for job in await upkeep.reissue(connection, older_than=timedelta(0), limit=100)}

    def follow(self, world: World, outcome: Outcome, *, alone: bool) -> bool:
        missing = world.claimable - world.tokens - world.later
        given: set[JobId] = msgspec.convert(outcome, set[JobId])
        if not given <= missing or (alone and given != missing):
            return False
        for job_id in given:
            world.change(job_id, world.rows[job_id], "job.requeued")
        return True


def claim(*, lasting: bool, per_tenant: int | None = None) -> Claim:
    """By a worker that has not claimed before: each claim has a token of its own."""
    return Claim(LeaseToken(ids.new()), lasting, per_tenant)
