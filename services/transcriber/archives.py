"""Archives on request: the recording and the transcript from the bucket, through a cutting process, back into the bucket as they are made.

It has nothing to do with the engine, which goes on with its work. The message is acked when the archive is there or its failure is written
down; a transcriber that stops before leaves it to another.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog
from aio_pika.abc import AbstractIncomingMessage

from common import archives, patience, topology, tracing
from common.archives import MAKING_LIMIT, Wanted
from common.broker import Broker, settle
from common.database import AWAY, Pool
from common.envelope import Event, from_message
from common.errors import PermanentError, TransientError, VerbatimError
from common.jobs.job import Failure, Job
from common.storage import Storage
from services.transcriber.clips import order
from services.transcriber.clips.order import Order
from services.transcriber.confinement import bare
from services.transcriber.limits import DECODE_MEGABYTES
from services.transcriber.scratch import workplace

log = structlog.get_logger(__name__)

COMMAND = (sys.executable, "-m", "services.transcriber.clips")
_READ_BYTES = 2**18
_RETRY_SECONDS = 1.0


class Archives:
    """Makes archives one at a time, in `scratch`, each with a process of its own by `command`."""

    def __init__(
        self,
        pool: Pool,
        storage: Storage,
        broker: Broker,
        scratch: Path,
        *,
        memory: int = DECODE_MEGABYTES * 2**20,
        command: Sequence[str] = COMMAND,
    ) -> None:
        """A recording takes no more than `memory` bytes to be cut."""
        self._pool = pool
        self._storage = storage
        self._broker = broker
        self._scratch = scratch
        self._memory = memory
        self._command = command

    async def run(self, stopping: asyncio.Event) -> None:
        """Make what is asked for until told to stop."""
        async for message in self._broker.deliveries(topology.TRANSCRIBER_ARCHIVES, stopping=stopping):
            await self._take(message, stopping)

    async def _take(self, message: AbstractIncomingMessage, stopping: asyncio.Event) -> None:
        try:
            event = from_message(message)
            wanted = msgspec.json.decode(event.data, type=Wanted)
        except (PermanentError, msgspec.DecodeError) as error:
            log.error("poison", queue=topology.TRANSCRIBER_ARCHIVES.name, error=str(error))
            await settle(message, poison=True)
            return
        while not stopping.is_set():
            try:
                await self._see_to(event, wanted)
            except AWAY as error:
                log.warning("database away", error=repr(error))
                await patience.wait(stopping, _RETRY_SECONDS)
            else:
                await settle(message)
                return

    async def _see_to(self, event: Event, wanted: Wanted) -> None:
        """Make the archive, or write down why not. Raises `AWAY` when Postgres cannot be asked or told."""
        async with self._pool.acquire() as connection:
            job = await archives.find(connection, wanted)
        if job is None:
            return
        with (
            structlog.contextvars.bound_contextvars(job_id=str(job.id)),
            tracing.span("make archive", kind="consumer", parent=event.trace, **{"verbatim.job_id": str(job.id)}),
        ):
            failed = await self._attempt(job, wanted)
            if failed is not None:
                failure = Failure(failed.code, failed.message, retryable=failed.transient)
                async with self._pool.acquire() as connection:
                    again = await archives.fail(connection, wanted, failure)
                log.warning("archive failed", code=failed.code, error=failed.message, again=again)
                return
            async with self._pool.acquire() as connection:
                owned = await archives.finish(connection, wanted)
            if not owned:
                with contextlib.suppress(VerbatimError):  # else it is an orphan, which the janitor deletes
                    await self._storage.delete([wanted.key])
            log.info("archive made", variant=wanted.cut.variant, owned=owned)

    async def _attempt(self, job: Job, wanted: Wanted) -> VerbatimError | None:
        """Why it could not be made, if so: whatever it is, it ends neither the transcriber nor the making of others."""
        try:
            await self._make(job, wanted)
        except VerbatimError as error:
            return error
        except Exception:
            log.exception("archive broke")
            return TransientError("internal_error", "The transcriber failed unexpectedly; its log says how.")
        return None

    async def _make(self, job: Job, wanted: Wanted) -> None:
        assert job.result is not None
        async with workplace(self._scratch) as folder:
            source, document, failure = (folder / name for name in ("source", "transcript.json", "failure.json"))
            await self._storage.download(archives.recording_key(job), source)
            await self._storage.download(job.result.keys["transcript"], document)
            asked = Order(
                job_id=str(job.id),
                source=str(source),
                transcript=str(document),
                failure=str(failure),
                cut=wanted.cut,
                language=job.options.language,
                memory=self._memory,
                seconds=MAKING_LIMIT.total_seconds(),
            )
            try:
                async with asyncio.timeout(MAKING_LIMIT.total_seconds()):
                    await self._cut(asked, wanted.key)
            except TimeoutError:
                message = "Cutting the recording and storing its clips took too long."
                raise TransientError("time_limit", message) from None

    async def _cut(self, asked: Order, key: str) -> None:
        """From the process's output into the bucket, a part at a time."""
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True, env=bare(os.environ)
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(order.encode(asked) + b"\n")
            async with self._storage.upload(key, content_type="application/zip") as upload:
                while chunk := await process.stdout.read(_READ_BYTES):
                    await upload.write(chunk)
                if await process.wait() != 0:
                    raise await asyncio.to_thread(_reason, process.returncode, Path(asked.failure))
        finally:
            process.stdin.close()
            if process.returncode is None:
                process.kill()
                await process.communicate()  # its end is told only when all that it wrote has been read


def _reason(status: int | None, failure: Path) -> VerbatimError:
    """Why the process failed; one that could not say so died, or was ended by the kernel for the time that it took."""
    if status == -signal.SIGXCPU:
        return PermanentError("time_limit", "Cutting the recording took too long.")
    try:
        found = order.decode_failure(failure.read_bytes())
    except (OSError, msgspec.DecodeError):
        return TransientError("cutting_died", "The process that cuts the recording died.")
    kind = TransientError if found.retryable else PermanentError
    return kind(found.code, found.message)
