"""What the earlier services call a job's states, and how they write times, yes and no. They knew fewer states than there are."""

from datetime import UTC, datetime
from typing import Literal, assert_never

from common.jobs.job import Job, Status
from services.ingest.query import invalid

_FLAGS = dict.fromkeys(("true", "1", "yes", "on", "t", "y"), True) | dict.fromkeys(("false", "0", "no", "off", "f", "n"), False)

Waiting = Literal["queued", "pending"]

_UNFINISHED = (Status.UPLOADING, Status.QUEUED)
SHOWN: dict[str, tuple[Status, ...]] = {
    "queued": _UNFINISHED,
    "pending": _UNFINISHED,
    "processing": (Status.PROCESSING,),
    "completed": (Status.COMPLETED,),
    "failed": (Status.FAILED, Status.CANCELLED),
}
"""Their words, and the states that they stand for. An expired job is one that they would have deleted: there is no such job."""


def status(job: Job, waiting: Waiting = "queued") -> str:
    """The word for where a job stands."""
    match job.status:
        case Status.UPLOADING | Status.QUEUED:
            return waiting
        case Status.PROCESSING | Status.COMPLETED:
            return job.status.value
        case Status.FAILED | Status.CANCELLED | Status.EXPIRED:
            return "failed"
    assert_never(job.status)


def error(job: Job) -> str | None:
    """Why the job failed, in a sentence; what went wrong with an earlier attempt is not told of a job that is tried again."""
    if job.status is Status.CANCELLED:
        return "The job was cancelled."
    return job.error.message if job.status is Status.FAILED and job.error is not None else None


def flag(name: str, text: str) -> bool:
    """Yes or no in any of the spellings that they took, of the field `name`. Raises `Problem`."""
    found = _FLAGS.get(text.strip().lower())
    if found is None:
        raise invalid(name, "it is true or false")
    return found


def plain(moment: datetime | None) -> str | None:
    """UTC without saying so: `2025-01-06T10:30:00`."""
    return None if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
