"""What the janitor decides, without a server in sight."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from common import ids
from common.ids import JobId, LeaseToken
from common.jobs.job import Status
from common.jobs.store import Owner, Tokens
from common.storage_keys import Place
from services.janitor.duties.audio import is_over
from services.janitor.duties.orphans import why_orphaned
from services.janitor.duties.reissue import missing

JOB, OTHER = JobId(ids.new()), JobId(ids.new())
LEASE, LOSER = LeaseToken(ids.new()), LeaseToken(ids.new())
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def owner(status: Status, *, finished_at: datetime | None = None) -> Owner:
    return Owner(status, finished_at, frozenset({LEASE}))


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


@pytest.mark.parametrize("status", list(Status))
def test_a_recording_is_kept_while_its_job_may_need_it(status: Status) -> None:
    """Only a job that ended before the moment is done with its recording."""
    assert is_over(owner(status, finished_at=NOW - SECOND), NOW) is status.final
    assert not is_over(owner(status, finished_at=NOW), NOW)
    assert not is_over(owner(status), NOW)


@pytest.mark.parametrize("status", list(Status))
def test_a_recording_goes_when_its_redacted_copy_is_there(status: Status) -> None:
    """At once; while the job is not completed there is none, and another attempt may need the recording."""
    redacted = msgspec.structs.replace(owner(status, finished_at=NOW), redact=True)
    assert is_over(redacted, NOW) is (status is Status.COMPLETED)
    assert is_over(redacted, None) is (status is Status.COMPLETED)


def test_recordings_stay_with_their_results_unless_told_otherwise() -> None:
    """Without a retention of their own."""
    assert not is_over(owner(Status.COMPLETED, finished_at=NOW - SECOND), None)


def test_a_recording_without_a_job_is_the_orphans_duty() -> None:
    """Its age since a job's end cannot be told, as there is no job."""
    assert not is_over(None, NOW)


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
