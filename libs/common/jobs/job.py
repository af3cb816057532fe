"""What a job is: the row as Postgres holds it, and the public document that the API and the events show of it.

The public document is made in one place so that a client sees the same words by polling, in a webhook and on the broker. It holds no
secret, internal host or path: storage is named by bucket and key only.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, assert_never

import msgspec

from common.ids import JobId, LeaseToken
from common.jobs.options import PRIORITIES, Options
from common.storage_keys import source_key


class Status(StrEnum):
    """Where a job stands; the same words as the `job_status` enum in SQL."""

    UPLOADING = "uploading"
    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def final(self) -> bool:
        """Whether no worker will touch the job any more."""
        match self:
            case Status.UPLOADING | Status.QUEUED | Status.PROCESSING:
                return False
            case Status.COMPLETED | Status.FAILED | Status.CANCELLED | Status.EXPIRED:
                return True
        assert_never(self)


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The submitted recording; `size` in bytes, `sha256` in hex, `filename` as the client called it (never used as a path or key)."""

    filename: str
    content_type: str
    size: int
    sha256: str
    kind: Literal["audio", "video"]


class Failure(msgspec.Struct, frozen=True):
    """Why an attempt failed; `retryable` says whether submitting the same work again may succeed."""

    code: str
    message: str
    retryable: bool


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Where the winner's documents are; `duration` in seconds."""

    bucket: str
    keys: dict[str, str]
    language: str
    duration: float
    speakers: int


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `jobs`."""

    id: JobId
    tenant: str
    status: Status
    priority: int
    options: Options
    source: Source
    retention: timedelta
    attempt: int
    max_attempts: int
    lease_token: LeaseToken | None
    lease_until: datetime | None
    worker: str | None
    stage: str | None
    progress: float
    result: Result | None
    error: Failure | None
    trace: str | None
    created_at: datetime
    queued_at: datetime | None
    claim_after: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None

    @property
    def source_key(self) -> str:
        return source_key(self.id)


def from_row(row: Mapping[str, Any]) -> Job:
    """A `jobs` row as a struct."""
    return msgspec.convert(dict(row), Job)


def public(job: Job) -> dict[str, Any]:
    """The document that clients see, in the API and in events alike."""
    options = msgspec.to_builtins(job.options)
    options.pop("webhook_url", None)
    return {
        "id": str(job.id),
        "status": job.status.value,
        "stage": job.stage,
        "progress": round(job.progress, 1),
        "attempt": job.attempt,
        "priority": PRIORITIES[job.priority],
        "source": msgspec.to_builtins(job.source),
        "options": options,
        "error": None if job.error is None else msgspec.to_builtins(job.error),
        "result": None
        if job.result is None
        else {"available": job.status is Status.COMPLETED, "expires_at": _time(job.expires_at), **msgspec.to_builtins(job.result)},
        "trace_id": None if job.trace is None else job.trace.split("-")[1],
        "created_at": _time(job.created_at),
        "queued_at": _time(job.queued_at),
        "started_at": _time(job.started_at),
        "finished_at": _time(job.finished_at),
        "links": _links(job),
    }


def _links(job: Job) -> dict[str, str]:
    own = f"/api/v1/jobs/{job.id}"
    return {"self": own, "transcript": f"{own}/transcript"}


def _time(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC with microseconds."""
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
