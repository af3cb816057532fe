"""A submission on its way in: multipart bytes from the socket to the bucket, with constant memory and nothing spooled.

The fields may come in any order. The object is complete before the job's row exists, so a row never points at nothing; whatever goes wrong
before the row is committed (a refusal, a client that goes away, a lost database) takes the object away again.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from datetime import timedelta
from typing import Any

import structlog
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from common import ids, tracing
from common.database import Pool
from common.ids import JobId
from common.jobs import store
from common.jobs.job import Job, Source
from common.jobs.options import OptionError, Options, parse
from common.storage import Storage
from common.storage_keys import source_key
from services.ingest.problems import Problem
from services.ingest.settings import Settings
from services.ingest.sniffing import HEAD_BYTES, Media, sniff

log = structlog.get_logger(__name__)

_FIELD_BYTES = 64 * 2**10
_MAX_FIELDS = 64
_MAX_NAME = 255


class Submissions:
    """Turns request bodies into queued jobs."""

    def __init__(self, pool: Pool, storage: Storage, settings: Settings) -> None:
        self._pool = pool
        self._storage = storage
        self._settings = settings

    async def accept(self, body: AsyncGenerator[bytes, None], *, content_type: str, content_length: int | None, tenant: str) -> Job:
        """Store the recording in a multipart `body` and queue a job for it. Raises `Problem`."""
        limit = self._settings.max_upload_bytes
        if content_length is not None and content_length > limit:
            raise too_large(limit)
        job_id = JobId(ids.new())
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self._remove, job_id)
            async with aclosing(_limited(body, limit)) as chunks:
                source, options = await self._receive(job_id, chunks, _boundary(content_type))
            async with self._pool.acquire() as connection:
                job = await store.create(
                    connection,
                    job_id=job_id,
                    tenant=tenant,
                    options=options,
                    source=source,
                    retention=timedelta(seconds=options.expires_in or self._settings.job_result_retention_seconds),
                    max_attempts=self._settings.max_attempts,
                    trace=tracing.current_traceparent(),
                )
            undo.pop_all()
        log.info("job queued", job_id=str(job.id), size=source.size, content_type=source.content_type)
        return job

    async def _receive(self, job_id: JobId, chunks: AsyncIterator[bytes], boundary: str) -> tuple[Source, Options]:
        """Read every part; returns what was stored and what was asked for."""
        fields: dict[str, str] = {}
        source: Source | None = None
        async with aclosing(_parts(chunks, boundary)) as parts:
            async for segment, payload in parts:
                if segment.name == "file":
                    if source is not None:
                        raise Problem(422, "duplicate_file", "The form has two file fields; submit one recording a job.", field="file")
                    source = await self._store(job_id, segment.filename or "", payload)
                elif segment.name in fields:
                    raise Problem(422, "duplicate_field", f"The form has {segment.name!r} twice.", field=segment.name)
                else:
                    fields[segment.name] = await _text(segment.name, payload)
                    _options({segment.name: fields[segment.name]})  # refuse early, before the recording has travelled
        if source is None:
            raise Problem(422, "file_missing", "The form has no field named 'file'; put the recording there.", field="file")
        return source, _options(fields)

    async def _store(self, job_id: JobId, filename: str, payload: AsyncIterator[bytes]) -> Source:
        head = b""
        async for chunk in payload:
            head += chunk
            if len(head) >= HEAD_BYTES:
                break
        media = _recognise(head)
        async with self._storage.upload(source_key(job_id), content_type=media.content_type) as upload:
            await upload.write(head)
            async for chunk in payload:
                await upload.write(chunk)
        return Source(
            filename=filename[:_MAX_NAME], content_type=media.content_type, size=upload.size, sha256=upload.sha256, kind=media.kind
        )

    async def _remove(self, job_id: JobId) -> None:
        await self._storage.delete([source_key(job_id)])


def too_large(limit: int) -> Problem:
    """413. What the client still sends is read and thrown away: closing at once could cost it the answer."""
    return Problem(413, "too_large", f"The submission is larger than the limit of {limit} bytes.", limit=limit)


def _recognise(head: bytes) -> Media:
    if not head:
        raise Problem(422, "empty_file", "The file is empty.", field="file")
    media = sniff(head)
    if media is None:
        raise Problem(415, "unsupported_media_type", "The file's content is neither audio nor video, whatever its name says.", field="file")
    return media


def _options(values: dict[str, Any]) -> Options:
    try:
        return parse(values)
    except OptionError as error:
        raise Problem(422, "invalid_option", str(error), field=error.field) from None


def _boundary(content_type: str) -> str:
    kind, parameters = parse_options_header(content_type)
    if kind != "multipart/form-data":
        raise Problem(
            415,
            "unsupported_media_type",
            "Submit multipart/form-data with the recording in the field 'file'.",
            allowed=["multipart/form-data"],
        )
    if not parameters.get("boundary"):
        raise _malformed("the Content-Type names no boundary")
    return str(parameters["boundary"])


async def _limited(body: AsyncGenerator[bytes, None], limit: int) -> AsyncGenerator[bytes, None]:
    """`body` up to `limit` bytes, for a client that announced no length or lied about it."""
    received = 0
    async for chunk in body:
        received += len(chunk)
        if received > limit:
            raise too_large(limit)
        yield chunk


async def _parts(chunks: AsyncIterator[bytes], boundary: str) -> AsyncGenerator[tuple[MultipartSegment, AsyncIterator[bytes]], None]:
    """Each part with its payload, which must be consumed before the next part."""
    async with aclosing(_events(chunks, boundary)) as events:
        async for event in events:
            assert isinstance(event, MultipartSegment)
            yield event, _payload(events)


async def _events(chunks: AsyncIterator[bytes], boundary: str) -> AsyncGenerator[MultipartSegment | bytes | None, None]:
    try:
        with PushMultipartParser(boundary, max_segment_count=_MAX_FIELDS, strict=True) as parser:
            async for chunk in chunks:
                for event in parser.parse(chunk):
                    yield event
    except MultipartError as error:
        raise _malformed(str(error)) from None


async def _payload(events: AsyncIterator[MultipartSegment | bytes | None]) -> AsyncIterator[bytes]:
    async for event in events:
        if event is None:
            return
        assert not isinstance(event, MultipartSegment)
        yield bytes(event)


async def _text(name: str, payload: AsyncIterator[bytes]) -> str:
    data = b""
    async for chunk in payload:
        data += chunk
        if len(data) > _FIELD_BYTES:
            raise Problem(
                422, "field_too_large", f"The field {name!r} is larger than {_FIELD_BYTES} bytes.", field=name, limit=_FIELD_BYTES
            )
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Problem(422, "invalid_option", f"The field {name!r} is not UTF-8 text.", field=name) from None


def _malformed(reason: str) -> Problem:
    return Problem(400, "malformed_multipart", f"The multipart body cannot be read: {reason}.")
