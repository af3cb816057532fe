"""What a job may be, and what its events say: the design's state diagram as plain values, without a database.

The model says what should be there; `Seen` is what is there, read from Postgres and the bucket. `laws` are the invariants that hold for
whatever is seen, whether or not the model expected it.
"""

from collections import Counter
from copy import copy

import msgspec

from common.database import Connection
from common.ids import JobId, LeaseToken
from common.jobs.job import Status
from common.storage_keys import parse_key, source_key, transcript_key

TOKENS = frozenset({"job.created", "job.requeued"})
ENDS = {"job.completed": Status.COMPLETED, "job.failed": Status.FAILED, "job.cancelled": Status.CANCELLED}
_AFTER: dict[str, tuple[frozenset[Status | None], Status | None]] = {
    "job.created": (frozenset({None}), Status.QUEUED),
    "job.started": (frozenset({Status.QUEUED}), Status.PROCESSING),
    "job.requeued": (frozenset({Status.QUEUED, Status.PROCESSING, Status.FAILED, Status.CANCELLED}), Status.QUEUED),
    "job.completed": (frozenset({Status.PROCESSING}), Status.COMPLETED),
    "job.failed": (frozenset({Status.PROCESSING}), Status.FAILED),
    "job.cancelled": (frozenset({Status.QUEUED, Status.PROCESSING}), Status.CANCELLED),
    "job.expired": (frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED}), Status.EXPIRED),
    "job.deleted": (frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.EXPIRED}), None),
}
"""Which statuses an event may follow, and the one that it announces; None: there is no such job. A job whose token was lost is announced as
queued once more."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A job's row as far as transitions depend on it; `result` is the lease of the attempt whose transcript counts."""

    status: Status
    attempt: int = 0
    lease: LeaseToken | None = None
    result: LeaseToken | None = None


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a job was submitted with: `due` at once when it ends, or not for an hour."""

    max_attempts: int
    due: bool


class World(msgspec.Struct, kw_only=True):
    """Where every job should be. `lost` are leases that have run out, `waiting` jobs that may not be claimed yet.

    `tokens` are jobs for which a token is on its way, `later` those for which one is kept until it is due.
    """

    terms: dict[JobId, Terms] = {}
    rows: dict[JobId, Row] = {}
    events: dict[JobId, tuple[str, ...]] = {}
    lost: set[LeaseToken] = set()
    waiting: set[JobId] = set()
    tokens: set[JobId] = set()
    later: set[JobId] = set()

    def copy(self) -> "World":
        """Rows are values, so a copy of each collection is enough."""
        return World(**{name: copy(getattr(self, name)) for name in self.__struct_fields__})

    def change(self, job_id: JobId, row: Row | None, event: str | None, *, later: bool = False) -> None:
        """`row` None: the job is gone. `later`: the event is kept for a while."""
        self.waiting.discard(job_id)
        if row is None:
            self.rows.pop(job_id, None)
        else:
            self.rows[job_id] = row
        if event is not None:
            self.events[job_id] = (*self.events.get(job_id, ()), event)
        if event in TOKENS:
            (self.later if later else self.tokens).add(job_id)

    @property
    def claimable(self) -> set[JobId]:
        """Jobs that may be claimed now."""
        return {job_id for job_id, row in self.rows.items() if row.status is Status.QUEUED} - self.waiting

    def held(self, job_id: JobId, token: LeaseToken | None) -> Row | None:
        """The row, if this lease may write to it."""
        row = self.rows.get(job_id)
        return row if row is not None and row.status is Status.PROCESSING and row.lease == token else None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What Postgres and the bucket hold."""

    rows: dict[JobId, Row]
    events: dict[JobId, tuple[str, ...]]
    keys: frozenset[str]

    def agrees(self, world: World) -> bool:
        return self.rows == world.rows and self.events == world.events


async def look(connection: Connection, keys: frozenset[str]) -> Seen:
    """Rows and events in one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await connection.fetch("select id, status, attempt, lease_token, result from jobs")
        events = await connection.fetch(
            "select subject, array_agg(type order by id) as types from (table outbox union all table published) told group by subject"
        )
    return Seen(
        rows={
            JobId(row["id"]): Row(
                status=Status(row["status"]), attempt=row["attempt"], lease=row["lease_token"], result=_winner(row["result"])
            )
            for row in rows
        },
        events={msgspec.convert(row["subject"], JobId): tuple(row["types"]) for row in events},
        keys=keys,
    )


def _winner(result: dict[str, dict[str, str]] | None) -> LeaseToken | None:
    place = None if result is None else parse_key(result["keys"]["transcript"])
    return None if place is None else place.lease


def laws(seen: Seen) -> None:
    """The invariants of the design, section 2: each assertion is one of them."""
    for job_id, types in seen.events.items():
        status: Status | None = None
        for event in types:
            before, after = _AFTER[event]
            assert status in before, f"{event} followed {status} in {types}"
            status = after
        row = seen.rows.get(job_id)
        assert status is (None if row is None else row.status), f"events say {status}, the row says {row}"
    for job_id in seen.rows:
        assert job_id in seen.events, "a job that no event tells of"
    holders = Counter(row.lease for row in seen.rows.values() if row.lease is not None)
    assert all(count == 1 for count in holders.values()), "a lease holds two jobs"
    for job_id, row in seen.rows.items():
        assert (row.lease is not None) is (row.status is Status.PROCESSING), "a lease without work, or work without a lease"
        if row.status in {Status.QUEUED, Status.PROCESSING}:
            assert source_key(job_id) in seen.keys, f"a job that is {row.status} points at a recording that is not there"
        if row.status is Status.EXPIRED:
            assert row.result is None
            assert source_key(job_id) not in seen.keys, "a tombstone left its recording behind"


def readable(seen: Seen, kept: set[JobId]) -> None:
    """A completed job that nobody is deleting has its transcript."""
    for job_id in kept & seen.rows.keys():
        row = seen.rows[job_id]
        if row.status is Status.COMPLETED:
            assert row.result is not None
            assert transcript_key(job_id, row.result) in seen.keys, "a completed job points at a transcript that is not there"
