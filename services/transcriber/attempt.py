"""One attempt at one job: fetch the recording, transcribe it, store the transcript, finish the job.

When its heartbeat learns that the job is no longer ours (cancelled, rescued, deleted), the attempt is dropped where it stands. Whatever
the attempt ends with, the job's row says so before the attempt returns; only a lost database leaves that to the lease's end.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import structlog

from common import tracing
from common.broker import Broker
from common.database import AWAY, Connection, Pool
from common.errors import TransientError, VerbatimError
from common.jobs import store
from common.jobs.job import Failure, Job, Result
from common.jobs.kind import Kind
from common.jobs.watch import Watch
from common.lexicons import store as lexicons
from common.lexicons.entries import Entries
from common.references import store as references
from common.storage import Storage
from services.transcriber import metrics, protocol
from services.transcriber.asked import asked
from services.transcriber.checkpoints import Checkpoints, checkpoints
from services.transcriber.child import Engine
from services.transcriber.heartbeat import Heartbeat, LeaseLost
from services.transcriber.produced import Kept, Produced, forget_source
from services.transcriber.protocol import Done, StageDone
from services.transcriber.scratch import workplace
from services.transcriber.settings import Settings
from services.transcriber.telling import telling

log = structlog.get_logger(__name__)

_PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.5
RELEASE_SECONDS = 20.0
_FIRST_DELAY = timedelta(seconds=5)
_LONGEST_DELAY = timedelta(minutes=5)


class Attempts:
    """Works on claimed jobs, any number at a time; what they need on the disk lies in `scratch`.

    For `patience` seconds a database that is away is waited for.
    """

    def __init__(
        self,
        *,
        pool: Pool,
        storage: Storage,
        broker: Broker,
        engine: Engine,
        watch: Watch,
        scratch: Path,
        settings: Settings,
        patience: float = _PATIENCE_SECONDS,
    ) -> None:
        self._watch = watch
        self._pool = pool
        self._storage = storage
        self._broker = broker
        self._engine = engine
        self._scratch = scratch
        self._settings = settings
        self._patience = patience

    async def make(self, job: Job) -> None:
        """Bring `job`, which is leased to us, to its next status. Cancelling gives the job back without spending the attempt."""
        try:
            await self._make(job)
        except asyncio.CancelledError:
            await asyncio.shield(self._release(job))
            raise

    async def _make(self, job: Job) -> None:
        try:
            with self._watch.watching(job.id) as news:
                beat = Heartbeat(job, news, self._pool, self._broker, self._settings)
                transcribed = await self._while_leased(job, beat)
            await self._finish(job, transcribed, beat.kind)
        except LeaseLost:
            metrics.ended("lost")
            log.info("job is no longer ours")
        except VerbatimError as error:
            await self._failed(job, error)
        except Exception:
            log.exception("attempt broke")
            await self._failed(job, TransientError("internal_error", "The transcriber failed unexpectedly; its log says how."))

    async def _while_leased(self, job: Job, beat: Heartbeat) -> "_Transcribed":
        """The work with its heartbeat, neither outliving the other.

        The heartbeat ends before the job is finished: it would take our own finish for a lost lease.
        """
        work = asyncio.create_task(self._work(job, beat), name=f"work-{job.id}")
        beating = asyncio.create_task(beat.run(), name=f"heartbeat-{job.id}")
        try:
            await asyncio.wait((work, beating), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                beating.result()
            return work.result()
        finally:
            work.cancel()
            try:
                await asyncio.wait((work,))  # with its heartbeat: what it puts away takes time, and the lease is still to be given back
            finally:
                beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)

    async def _work(self, job: Job, beat: Heartbeat) -> "_Transcribed":
        async with workplace(self._scratch) as folder:
            produced = Produced.within(folder)
            async with checkpoints(self._storage, job.id, folder / "checkpoints") as kept:
                done = await self._transcribe(job, folder / "source", produced, kept, beat)
                beat.stage = "store"
                with tracing.span("store"):
                    stored = await produced.store(self._storage, job)
        return _Transcribed(done, stored, kept)

    async def _transcribe(self, job: Job, source: Path, produced: Produced, kept: Checkpoints, beat: Heartbeat) -> Done:
        with tracing.span("fetch", size=job.source.size):
            await self._storage.download(job.source_key, source)
            await kept.fetch()
        redacted = bool(job.options.redact)
        request = protocol.Transcribe(
            f"{job.id}:{job.lease_token}",
            str(source),
            str(produced.transcript),
            await self._asked(job),
            audio=str(produced.audio) if redacted else None,
            sha256=job.source.sha256,
            # What is to be redacted is written nowhere else before it is.
            checkpoints=None if redacted else str(kept.folder),
        )
        async with telling(self._pool, job) as tell:
            done, stages = await self._engine.transcribe(request, beat.update, kept.store, tell)
        _record(stages)
        return done

    async def _asked(self, job: Job) -> protocol.Options:
        """The engine's part of the job's options, with the job's own copies of what they name."""
        if job.options.lexicon_id is None and not job.options.reference:
            return asked(job.options, Entries())
        try:
            async with self._pool.acquire() as connection:
                return asked(job.options, await lexicons.of_job(connection, job.id), await references.of_job(connection, job.id))
        except AWAY as error:
            raise TransientError(
                "database_unavailable", "The job's lexicon or reference could not be read: the database was away."
            ) from error

    async def _finish(self, job: Job, transcribed: "_Transcribed", kind: Kind | None) -> None:
        done = transcribed.done
        result = Result(
            bucket=self._storage.bucket,
            keys=transcribed.stored.keys,
            objects=transcribed.stored.objects,
            language=done.language,
            duration=done.duration,
            speakers=done.speakers,
        )
        finished = await self._write(lambda connection: store.finish(connection, job, result, kind))
        if finished is None:
            # Another attempt won, or our own commit was lost on its way back: the janitor can tell, and deletes a loser's transcript.
            metrics.ended("lost")
            log.info("job was no longer ours to finish")
        else:
            metrics.transcribed(done.duration)
            log.info("job completed", seconds=round(done.duration, 1), language=done.language)
            if job.options.redact:
                await forget_source(self._storage, job)
            await transcribed.checkpoints.clear()

    async def _failed(self, job: Job, error: VerbatimError) -> None:
        failure = Failure(error.code, error.message, retryable=error.transient)
        log.warning("attempt failed", code=error.code, error=error.message, transient=error.transient)

        async def write_down(connection: Connection) -> Job | None:
            """In one: a database that goes away in between must not turn another attempt into the job's end."""
            again = await store.retry(connection, job, failure, delay_before(job.attempt + 1)) if error.transient else None
            return again or await store.fail(connection, job, failure)

        written = await self._write(write_down)
        metrics.ended("lost" if written is None else "retried" if written.status == "queued" else "failed")

    async def _release(self, job: Job) -> None:
        """Bounded, as whoever stops us does not wait for ever: when Postgres says nothing for so long, the lease's end does it."""
        released = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RELEASE_SECONDS):
                released = await self._write(lambda connection: store.release(connection, job))
        if released is None:
            metrics.ended("lost")
        else:
            metrics.ended("released")
            log.info("job given back")

    async def _write(self, change: Callable[[Connection], Awaitable[Job | None]]) -> Job | None:
        """A guarded write that waits out a Postgres restart; when patience ends, the lease's end takes over."""
        deadline = asyncio.get_running_loop().time() + self._patience
        while True:
            try:
                async with self._pool.acquire() as connection:
                    return await change(connection)
            except AWAY as error:
                if asyncio.get_running_loop().time() >= deadline:
                    log.error("gave up writing", error=repr(error))
                    return None
                log.warning("database away", error=repr(error))
                await asyncio.sleep(_POLL_SECONDS)


class _Transcribed(NamedTuple):
    """What was produced is in the store as `stored` says, and the job's row does not say so yet."""

    done: Done
    stored: Kept
    checkpoints: Checkpoints


def delay_before(attempt: int) -> timedelta:
    """How long a job waits before its `attempt`-th attempt (from 2 on): doubling from 5 s up to 5 min, with a quarter of jitter."""
    delay: timedelta = min(_FIRST_DELAY * 2 ** min(attempt - 2, 10), _LONGEST_DELAY)
    return delay * random.uniform(0.75, 1.25)  # noqa: S311 - spreads retries, guards nothing


def _record(stages: list[StageDone]) -> None:
    metrics.worked(stages)
    for stage in stages:
        tracing.record(stage.stage, start_ns=stage.start_ns, end_ns=stage.end_ns)
