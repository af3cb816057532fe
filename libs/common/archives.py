"""Archives: a job's recording cut into clips, made when somebody first asks for one, by a transcriber, which can decode.

The object in the bucket is the archive; a row here is one that was asked for and is not there yet, or cannot be made. Row and event are
written in one transaction. Who asks again after a while has it made again: by then the request has been lost with the broker, or what was
wrong may have passed.
"""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from common import outbox
from common.database import Connection, Queries
from common.ids import JobId
from common.jobs.job import Failure, Job, from_row
from common.storage_keys import archive_key

SQL = Queries(Path(__file__).with_name("archives.sql"))

MAKING_LIMIT = timedelta(minutes=20)
"""How long making one may take; less than any broker's consumer_timeout."""

_DIGITS = 4
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_FORGOTTEN = timedelta(minutes=30)
_ATTEMPTS = 3
_DELAY = timedelta(seconds=15)

By = Annotated[
    Literal["segment", "speaker", "line"],
    msgspec.Meta(description="A clip for each segment of the transcript, for each turn of a speaker, or for each line of the reference"),
]
Format = Annotated[Literal["mp3", "flac", "wav"], msgspec.Meta(description="What the clips are encoded as")]


class Cut(msgspec.Struct, frozen=True):
    """A clip for each segment, turn of a speaker or line of the reference, in this format."""

    by: By = "segment"
    format: Format = "mp3"

    @property
    def variant(self) -> str:
        """Its name among the job's archives."""
        return f"{self.by}-{self.format}"


def segment_clip(number: int, count: int, speaker: str | None, suffix: str) -> str:
    """What the clip of the `number`-th of `count` segments or turns is called; from 1, so that files sort as they are heard."""
    who = "" if speaker is None else f"-{_UNSAFE.sub('_', speaker)}"
    return f"clips/{number:0{max(_DIGITS, len(str(count)))}}{who}.{suffix}"


def line_clip(number: int, suffix: str) -> str:
    """What the clip of the reference's line with this number is called."""
    return f"clips/line-{number:0{_DIGITS}}.{suffix}"


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The event's data: an archive that is to be made. A duplicate finds it made, or makes the same once more."""

    job_id: JobId
    cut: Cut

    @property
    def key(self) -> str:
        return archive_key(self.job_id, self.cut.variant)


def recording_key(job: Job) -> str:
    """What the clips of a completed job are cut from: where redaction was asked for, the redacted copy and never the original."""
    assert job.result is not None
    return job.result.keys["audio"] if job.options.redact else job.source_key


async def ask(connection: Connection, wanted: Wanted) -> Failure | None:
    """Have it made if nobody has asked for it lately; why it cannot be made, if it was tried."""
    async with connection.transaction():
        row = await connection.fetchrow(SQL["request_archive"], wanted.job_id, wanted.cut.variant, _FORGOTTEN)
        if row is not None:
            await _announce(connection, wanted, timedelta(0))
            return None
    error = await connection.fetchval(SQL["archive_error"], wanted.job_id, wanted.cut.variant)
    return None if error is None else msgspec.convert(error, Failure)


async def find(connection: Connection, wanted: Wanted) -> Job | None:
    """The job, if the archive is still wanted and can be made of it."""
    row = await connection.fetchrow(SQL["wanted_archive"], wanted.job_id, wanted.cut.variant)
    return None if row is None else from_row(row)


async def finish(connection: Connection, wanted: Wanted) -> bool:
    """It is in the bucket; False when the job is gone or has expired meanwhile, and nobody else will look for the object."""
    owned: bool = await connection.fetchval(SQL["finish_archive"], wanted.job_id, wanted.cut.variant)
    return owned


async def fail(connection: Connection, wanted: Wanted, failure: Failure) -> bool:
    """It could not be made; whether it is tried again, which is so a few times if that may help."""
    async with connection.transaction():
        attempt = await connection.fetchval(
            SQL["fail_archive"], wanted.job_id, wanted.cut.variant, failure, _ATTEMPTS if failure.retryable else 0
        )
        if attempt is None or not failure.retryable or attempt >= _ATTEMPTS:
            return False
        await _announce(connection, wanted, _DELAY * attempt)
        return True


async def _announce(connection: Connection, wanted: Wanted, delay: timedelta) -> None:
    await outbox.add(connection, "archive.requested", subject=str(wanted.job_id), data=msgspec.json.encode(wanted), delay=delay)
