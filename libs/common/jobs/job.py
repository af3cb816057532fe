"""What a job is: the row as Postgres holds it, and the words for where it stands."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, assert_never

import asyncpg
import msgspec

from common.ids import JobId, LeaseToken
from common.jobs.kind import Kind
from common.jobs.options import Options
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
    """The submitted recording; `size` in bytes, `sha256` in hex, `filename` as the client called it (never used as a path or key).

    `content_type` is the container's, and so is `kind` until the recording has been decoded. `duration` is in seconds, where the file's
    header tells it.
    """

    filename: str
    content_type: str
    size: int
    sha256: str
    kind: Kind
    duration: float | None = None


class Failure(msgspec.Struct, frozen=True):
    """Why an attempt failed; `retryable` says whether submitting the same work again may succeed."""

    code: str
    message: str
    retryable: bool

    def __post_init__(self) -> None:
        if "\0" in self.message:  # it may quote a stranger, and Postgres keeps none
            msgspec.structs.force_setattr(self, "message", self.message.replace("\0", ""))


TRANSCRIPT = "transcript"
"""What every result has, among its keys."""


class Stored(msgspec.Struct, frozen=True):
    """An object as it was stored: its size in bytes, its hash in hex."""

    size: int
    sha256: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Where the winner's documents are, and what they were when they were stored; `duration` in seconds."""

    bucket: str
    keys: dict[str, str]
    objects: dict[str, Stored] = {}
    language: str
    duration: float
    speakers: int


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the upload to the job's own URL: `code` says why it failed, `at` when it was over."""

    state: Literal["pending", "delivered", "failed"]
    code: str | None = None
    at: datetime | None = None


Reason = Literal["expired", "deleted"]
"""Its time was over, or somebody asked for it."""


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """One object that is no more: what it was, and when it was deleted. Size and hash are null where they were never known.

    One that was `lost` was found to be missing before it was to be deleted: it is gone, and nobody can say since when.
    """

    what: str
    size: int | None
    sha256: str | None
    deleted_at: datetime | None
    lost: bool = False


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What was deleted of a job, when, and why.

    `objects` are the recording and what the job's result named. Archives, working copies and results of attempts that lost, whatever there
    was, had been deleted too by `deleted_at`, and are not listed.
    """

    reason: Reason
    deleted_at: datetime
    objects: list[Deleted]


Cache = Literal["hit", "miss"]
"""Whether an earlier job's result was taken, where that was asked for."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `jobs`; `band` and `turn` are its place in the queue, `duration` is in seconds, `eta` the first that anybody was told.

    `revision` grows with each change that watchers can see. `lost` names objects that the store should have and has not.
    """

    id: JobId
    tenant: str
    revision: int
    status: Status
    priority: int
    band: int
    turn: int
    options: Options
    source: Source
    duration: float | None
    duration_known: bool
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
    eta: datetime | None
    cache: Cache | None
    upload: Upload | None = None
    audio_deleted_at: datetime | None = None
    expired_at: datetime | None = None
    lost: tuple[str, ...] = ()
    receipt: Receipt | None = None

    @property
    def source_key(self) -> str:
        return source_key(self.id)

    @property
    def keys(self) -> tuple[str, ...]:
        """Of the objects that the row knows of."""
        recording = () if self.audio_deleted_at is not None else (self.source_key,)
        return recording if self.result is None else (*recording, *self.result.keys.values())


def from_row(row: Mapping[str, Any] | asyncpg.Record | None) -> Job:
    """A `jobs` row as a struct; a query that always returns one never passes None."""
    assert row is not None
    return msgspec.convert(dict(row), Job)
