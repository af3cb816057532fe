"""What the janitor decides, without a server in sight."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from common import ids
from common.ids import JobId, LeaseToken
from common.jobs.job import Status
from common.jobs.objects import Holding, Owner
from common.jobs.upkeep import Tokens
from common.storage_keys import Place, source_key
from services.janitor.duties.lost import missing as missing_objects
from services.janitor.duties.orphans import why_orphaned
from services.janitor.duties.reissue import missing

JOB, OTHER = JobId(ids.new()), JobId(ids.new())
LEASE, LOSER = LeaseToken(ids.new()), LeaseToken(ids.new())
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def owner(status: Status) -> Owner:
    return Owner(status, frozenset({LEASE}))


@pytest.mark.parametrize(
    ("claimable", "waiting", "unpublished", "ready", "expected"),
    [
        (0, 0, 0, 0, 0),
        (5, 5, 0, 5, 0),  # every token is in the queue
        (5, 5, 5, 0, 0),  # every token is in the outbox
        (5, 5, 2, 3, 0),
        (5, 5, 5, 5, 0),  # tokens too many, as after a worker's death, are no reason for anything
        (5, 5, 0, 0, 5),  # the queue was purged
        (5, 5, 1, 1, 3),
        (5, 0, 0, 0, 0),  # all have only just become claimable
        (5, 2, 0, 0, 2),  # only those that have waited
        (5, 2, 0, 4, 1),
    ],
)
def test_missing_tokens_are_those_that_neither_outbox_nor_queue_has(
    claimable: int, waiting: int, unpublished: int, ready: int, expected: int
) -> None:
    """Jobs less tokens, never less than none, and never for jobs that have only just come."""
    assert missing(Tokens(claimable, waiting, unpublished), ready) == expected


def holding(status: Status, **more: Any) -> Holding:
    keys = {"transcript": "results/transcript"}
    return msgspec.structs.replace(Holding(JOB, status, None, (), keys, redact=False), **more)


@pytest.mark.parametrize("status", [Status.QUEUED, Status.FAILED, Status.COMPLETED])
def test_a_job_has_its_recording_until_that_was_deleted_or_replaced(status: Status) -> None:
    """A redacted copy replaces it once it is there, that is when the job is completed."""
    results = {"results/transcript"}
    assert missing_objects(holding(status), {source_key(JOB), *results}) == ()
    assert missing_objects(holding(status), results) == ("recording",)
    assert missing_objects(holding(status, audio_deleted_at=NOW), results) == ()
    assert missing_objects(holding(status, audio_deleted_at=NOW, lost=("recording",)), results) == ("recording",)
    assert missing_objects(holding(status, redact=True), results) == (() if status is Status.COMPLETED else ("recording",))


def test_a_completed_job_has_its_results() -> None:
    """Each of those that its row names; those that it does not name are nothing to it."""
    both = {"transcript": "results/transcript", "audio": "results/audio"}
    job = holding(Status.COMPLETED, keys=both, redact=True)
    assert missing_objects(job, {"results/audio", "results/other"}) == ("transcript",)
    assert missing_objects(job, set()) == ("audio", "transcript")


@pytest.mark.parametrize(
    ("place", "status", "reason"),
    [
        (Place("audio", JOB, None), Status.QUEUED, None),
        (Place("audio", JOB, None), Status.COMPLETED, None),
        (Place("audio", JOB, None), Status.FAILED, None),
        (Place("audio", JOB, None), Status.EXPIRED, "job expired"),
        (Place("audio", OTHER, None), Status.QUEUED, "no job"),
        (Place("results", JOB, LEASE), Status.PROCESSING, None),
        (Place("results", JOB, LEASE), Status.COMPLETED, None),
        (Place("results", JOB, LOSER), Status.PROCESSING, "attempt lost"),
        (Place("results", JOB, LOSER), Status.COMPLETED, "attempt lost"),
        (Place("results", JOB, LEASE), Status.EXPIRED, "job expired"),
        (Place("results", OTHER, LEASE), Status.COMPLETED, "no job"),
        (Place("checkpoints", JOB, None), Status.PROCESSING, None),
        (Place("checkpoints", JOB, None), Status.FAILED, None),  # may be tried again
        (Place("checkpoints", JOB, None), Status.COMPLETED, "job completed"),
        (Place("checkpoints", JOB, None), Status.EXPIRED, "job expired"),
        (Place("checkpoints", OTHER, None), Status.QUEUED, "no job"),
    ],
)
def test_an_object_is_an_orphan_when_no_job_says_it_is_its_own(place: Place, status: Status, reason: str | None) -> None:
    """The running attempt's and the winner's results are owned, recordings until their job expires, checkpoints until it is completed."""
    assert why_orphaned(place, {JOB: owner(status)}) == reason
