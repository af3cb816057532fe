"""Uploads that come in pieces over several requests, until a job is made of them.

An upload is no job yet: it has no options, takes no place in the queue, and most of what can be asked of a job makes no sense for it. So it
has a row of its own. Its id becomes the job's and its object lies where that job's recording lies: making the job moves no byte, and
there is no moment at which a job's row points at nothing.

One request at a time works on an upload, under a lease that guards its writes: who slept past its lease writes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import asyncpg
import msgspec

from common.database import Connection, Queries
from common.ids import JobId, LeaseToken
from common.jobs.job import Source
from common.multipart import Part
from common.storage import Storage
from common.storage_keys import job_prefixes, source_key, tail_key

SQL = Queries(Path(__file__).with_name("resumable.sql"))

Protocol = Literal["parts", "tus"]


class UploadStatus(StrEnum):
    """Where an upload stands; the same words as the `upload_status` enum in SQL."""

    UPLOADING = "uploading"
    READY = "ready"
    SUBMITTED = "submitted"
    ABANDONED = "abandoned"


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `uploads`; sizes in bytes. `id` is that of the job to be, `source` is known once the upload is ready."""

    id: JobId
    tenant: str
    protocol: Protocol
    status: UploadStatus
    filename: str
    metadata: str
    size: int
    sha256: str | None
    part_size: int
    multipart_id: str
    received: int
    tail: LeaseToken | None
    lease_token: LeaseToken | None
    source: Source | None
    created_at: datetime
    expires_at: datetime

    @property
    def key(self) -> str:
        return source_key(self.id)

    @property
    def tail_keys(self) -> list[str]:
        """None or one."""
        return [] if self.tail is None else [tail_key(self.id, self.tail)]


class New(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an upload before its first byte."""

    id: JobId
    tenant: str
    protocol: Protocol
    filename: str
    size: int
    part_size: int
    multipart_id: str
    sha256: str | None = None
    metadata: str = ""


async def create(connection: Connection, new: New, lifetime: timedelta) -> Upload:
    """(new) -> uploading. Call only when the store has begun the upload."""
    row = await connection.fetchrow(
        SQL["create_upload"],
        new.id,
        new.tenant,
        new.protocol,
        new.filename,
        new.metadata,
        new.size,
        new.sha256,
        new.part_size,
        new.multipart_id,
        lifetime,
    )
    return _from_row(row)


async def get(connection: Connection, upload_id: JobId, tenant: str) -> Upload | None:
    """The upload, if it is this tenant's and not past its time."""
    return _maybe(await connection.fetchrow(SQL["get_upload"], upload_id, tenant))


async def lease(connection: Connection, upload_id: JobId, tenant: str, token: LeaseToken, duration: timedelta) -> Upload | None:
    """The upload, to work on; None when another request has it, or when it is not uploading."""
    return _maybe(await connection.fetchrow(SQL["lease_upload"], upload_id, tenant, token, duration))


async def renew(connection: Connection, upload: Upload, duration: timedelta) -> None:
    """The request is still at it."""
    await connection.execute(SQL["renew_upload"], upload.id, upload.lease_token, duration)


async def release(connection: Connection, upload: Upload) -> None:
    """The request is done with it."""
    await connection.execute(SQL["release_upload"], upload.id, upload.lease_token)


async def touch(connection: Connection, upload_id: JobId, tenant: str, lifetime: timedelta) -> Upload | None:
    """A sign of life; None when the upload takes no more bytes."""
    return _maybe(await connection.fetchrow(SQL["touch_upload"], upload_id, tenant, lifetime))


async def take_part(connection: Connection, upload: Upload) -> int | None:
    """A number for a part, which nobody else gets; None when the upload is no longer ours."""
    number: int | None = await connection.fetchval(SQL["take_part"], upload.id, upload.lease_token)
    return number


async def advance(
    connection: Connection, upload: Upload, parts: Sequence[Part], *, tail: LeaseToken | None, received: int, lifetime: timedelta
) -> Upload | None:
    """Record that `received` bytes are safe: `parts` came to those that were there, the rest is in `tail`."""
    async with connection.transaction():
        row = await connection.fetchrow(SQL["advance_upload"], upload.id, upload.lease_token, received, tail, lifetime)
        if row is not None and parts:
            await connection.execute(
                SQL["add_parts"], upload.id, [part.number for part in parts], [part.etag for part in parts], [part.size for part in parts]
            )
    return _maybe(row)


async def parts(connection: Connection, upload: Upload) -> list[Part]:
    """What a tus upload's object is to be made of."""
    return [Part(row["number"], row["etag"], row["size"]) for row in await connection.fetch(SQL["read_parts"], upload.id)]


async def finish(connection: Connection, upload: Upload, source: Source, lifetime: timedelta) -> Upload | None:
    """uploading -> ready. Call only when the object is there and was read."""
    return _maybe(await connection.fetchrow(SQL["finish_upload"], upload.id, upload.lease_token, source, lifetime))


async def submit(connection: Connection, upload_id: JobId, tenant: str) -> Upload | None:
    """ready -> submitted, in the transaction that creates the job."""
    return _maybe(await connection.fetchrow(SQL["submit_upload"], upload_id, tenant))


async def abandon(connection: Connection, upload_id: JobId, tenant: str) -> Upload | None:
    """uploading | ready -> abandoned. `discard` its bytes next, then `forget` it; who dies in between leaves that to the janitor."""
    return _maybe(await connection.fetchrow(SQL["abandon_upload"], upload_id, tenant))


async def expire(connection: Connection, upload_id: JobId) -> Upload | None:
    """The same for one whose time is over."""
    return _maybe(await connection.fetchrow(SQL["expire_upload"], upload_id))


async def forget(connection: Connection, upload_id: JobId) -> bool:
    """abandoned | submitted -> (gone). Call only when the bytes are gone or the job's."""
    return await connection.fetchval(SQL["forget_upload"], upload_id) is not None


async def expired(connection: Connection, *, after: Upload | None, limit: int) -> list[Upload]:
    """Uploads past their time, a page of them, following the upload `after`."""
    key = (None, None) if after is None else (after.expires_at, after.id)
    return [_from_row(row) for row in await connection.fetch(SQL["expired_uploads"], limit, *key)]


async def read(connection: Connection, ids: Iterable[JobId]) -> list[Upload]:
    """Those of `ids` that are uploads, whoever's and whatever their status."""
    return [_from_row(row) for row in await connection.fetch(SQL["read_uploads"], list(ids))]


async def owned(connection: Connection, ids: Iterable[JobId]) -> set[str]:
    """The keys of the objects of those of `ids` that are uploads."""
    return {key for upload in await read(connection, ids) for key in (upload.key, *upload.tail_keys)}


async def discard(storage: Storage, upload: Upload) -> None:
    """Delete every byte of an abandoned upload."""
    await storage.abort_upload(upload.key, upload.multipart_id)
    await storage.delete_prefixes(job_prefixes(upload.id))


def _maybe(row: Mapping[str, Any] | asyncpg.Record | None) -> Upload | None:
    return None if row is None else _from_row(row)


def _from_row(row: Mapping[str, Any] | asyncpg.Record | None) -> Upload:
    assert row is not None
    return msgspec.convert(dict(row), Upload)
