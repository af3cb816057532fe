"""A submission on its way in: from the socket to the bucket, and from there to the queue.

The object is complete before the job's row exists, so a row never points at nothing; whatever goes wrong before the row is committed (a
refusal, a client that goes away, a lost database) takes the object away again. Only when the commit itself is lost nobody knows who won:
then the object stays, for the job if there is one, and otherwise for the janitor.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from datetime import timedelta

import msgspec
import structlog
from multipart import parse_options_header

from common import ids, tracing
from common.database import AWAY, Connection, Pool
from common.ids import JobId
from common.jobs import store
from common.jobs.job import Job
from common.jobs.options import OptionError, Options
from common.storage import Storage
from common.storage_keys import source_key
from services.ingest import form, idempotency, pointer
from services.ingest.admission import Admission
from services.ingest.arriving import Arrivals
from services.ingest.existing import find_job
from services.ingest.form import Fields, Form, Native
from services.ingest.idempotency import Answered, Held
from services.ingest.places import Places
from services.ingest.pointer import Pointers
from services.ingest.problems import Problem, too_large
from services.ingest.recording import Received, Sink, Submission
from services.ingest.reuse import Reuse, Reused
from services.ingest.settings import Settings

log = structlog.get_logger(__name__)


class Accepted(msgspec.Struct, frozen=True):
    """The answer: the job's document in JSON, as it is now or, `replayed`, as it was when the first request was answered."""

    job_id: JobId
    body: bytes
    replayed: bool = False


class _Made(msgspec.Struct, frozen=True):
    """What was there before the job: an upload, of which it is made; a result, which is copied already."""

    of_upload: bool
    reused: Reused | None


class Submissions:
    """Turns request bodies into queued jobs."""

    def __init__(
        self,
        *,
        pool: Pool,
        storage: Storage,
        pointers: Pointers,
        arrivals: Arrivals,
        admission: Admission,
        places: Places,
        settings: Settings,
    ) -> None:
        self._pool = pool
        self._storage = storage
        self._pointers = pointers
        self._arrivals = arrivals
        self._admission = admission
        self._reuse = Reuse(pool, storage)
        self._places = places
        self._settings = settings

    async def accept(
        self,
        body: AsyncGenerator[bytes, None],
        *,
        content_type: str,
        content_length: int | None,
        tenant: str,
        key: str | None,
        fields: Fields | None = None,
    ) -> Accepted:
        """Store the recording that `body` is or names and queue a job for it, once for each idempotency `key`. Raises `Problem`.

        With `fields` the body is a form that has them; else it is of the native API, which takes JSON too.
        """
        limit = self._settings.max_upload_bytes
        if content_length is not None and content_length > limit:
            raise too_large(limit)
        async with aclosing(_limited(body, limit)) as chunks, AsyncExitStack() as stack:
            submission = await self._read(chunks, content_type, tenant, fields)
            held = None if key is None else await stack.enter_async_context(self._held(tenant, idempotency.valid(key)))
            if isinstance(held, Answered):
                if await submission.identify() != held.fingerprint:
                    raise idempotency.another_request()
                return Accepted(held.job_id, held.body or await self._read_now(held.job_id, tenant), replayed=True)
            await self._admission.check(self._pool, tenant)
            return await self._carry_out(submission, tenant, held)

    def _held(self, tenant: str, key: str) -> AbstractAsyncContextManager[Held | Answered]:
        return idempotency.hold(self._pool, tenant, key, kept=self._settings.idempotency_retention)

    async def _read(self, chunks: AsyncIterator[bytes], content_type: str, tenant: str, fields: Fields | None) -> Submission:
        kind, parameters = parse_options_header(content_type)
        if kind == form.MEDIA_TYPE:
            return Form(chunks, str(parameters.get("boundary", "")), fields or Native())
        if fields is not None:
            raise Problem(415, "unsupported_media_type", "Submit multipart/form-data.", allowed=[form.MEDIA_TYPE])
        if kind == pointer.MEDIA_TYPE:
            return await self._pointers.read(chunks, tenant)
        raise Problem(
            415,
            "unsupported_media_type",
            "Submit multipart/form-data with the recording in the field 'file', or application/json that says where it lies.",
            allowed=[form.MEDIA_TYPE, pointer.MEDIA_TYPE],
        )

    async def _read_now(self, job_id: JobId, tenant: str) -> bytes:
        """What reading the job answers. Raises `Problem` 404 when it was deleted."""
        return msgspec.json.encode(await self._places.document(self._pool, await find_job(self._pool, job_id, tenant)))

    async def _carry_out(self, submission: Submission, tenant: str, held: Held | None) -> Accepted:
        job_id = submission.upload or JobId(ids.new())

        @asynccontextmanager
        async def bucket(content_type: str) -> AsyncIterator[Sink]:
            async with self._storage.upload(source_key(job_id), content_type=content_type) as upload:
                yield upload

        async with AsyncExitStack() as undo:
            if submission.upload is None:
                undo.push_async_callback(self._storage.delete, [source_key(job_id)])
            received = await submission.receive(bucket)
            reused = await self._reuse.copied(tenant, job_id, received)
            if reused is not None:
                undo.push_async_callback(self._storage.delete, list(reused.result.keys.values()))
            async with self._pool.acquire() as connection:
                try:
                    made = _Made(submission.upload is not None, reused)
                    job, body = await self._queue(connection, job_id, tenant, received, held, made)
                except (*AWAY, asyncio.CancelledError):
                    undo.pop_all()
                    raise
                undo.pop_all()  # before the connection is given back: whatever happens to us there, the job needs its recording
        log.info("job submitted", status=job.status.value, job_id=str(job.id), size=job.source.size, content_type=job.source.content_type)
        return Accepted(job_id, body)

    async def _queue(
        self, connection: Connection, job_id: JobId, tenant: str, received: Received, held: Held | None, made: _Made
    ) -> tuple[Job, bytes]:
        """The job and the answer to its key, in one transaction."""
        _check_model(received.options, self._settings.whisper_models)
        kept = received.options.expires_in
        retention = timedelta(seconds=self._settings.job_result_retention_seconds if kept is None else kept)
        async with connection.transaction():
            await self._admission.confirm(connection, tenant)
            if made.of_upload:
                await self._arrivals.submit(connection, job_id, tenant)
            job = await store.create(
                connection,
                job_id=job_id,
                tenant=tenant,
                options=received.options,
                source=received.source,
                retention=retention,
                max_attempts=self._settings.max_attempts,
                trace=tracing.current_traceparent(),
                cache=("miss" if made.reused is None else "hit") if received.options.reuse else None,
            )
            if made.reused is not None:
                job = await store.reuse(connection, job, *made.reused)
            body = msgspec.json.encode(await self._places.document(connection, job))
            if held is not None:
                await held.answer(connection, Answered(received.fingerprint, job_id, body))
        return job, body


def _check_model(options: Options, offered: tuple[str, ...]) -> None:
    if options.model is not None and options.model not in offered:
        choice = f"offered are {', '.join(offered)}, and the default when it is left out" if offered else "leave it out for the only one"
        raise OptionError("model", f"there is no model {options.model!r}; {choice}")


async def _limited(body: AsyncGenerator[bytes, None], limit: int) -> AsyncGenerator[bytes, None]:
    """`body` up to `limit` bytes, for a client that announced no length or lied about it."""
    received = 0
    async for chunk in body:
        received += len(chunk)
        if received > limit:
            raise too_large(limit)
        yield chunk
