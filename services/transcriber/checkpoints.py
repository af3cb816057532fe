"""What earlier attempts at a job came to, brought from the store, and what this one comes to, taken there while it goes on.

Checkpoints save time and nothing else: a store that is slow or away costs an attempt some patience at its start and its end, and never the
attempt itself. Whether a checkpoint fits is for the engine to tell, which made it; here they are bytes with a stage's name.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from common.errors import PermanentError, VerbatimError
from common.ids import JobId
from common.storage import Storage
from common.storage_keys import checkpoint_key, checkpoint_prefix
from services.transcriber.protocol import Stage

log = structlog.get_logger(__name__)

_FETCH_SECONDS = 10.0
_STORE_SECONDS = 60.0
_BEFORE_RETRY_SECONDS = 10.0
_BEFORE_LETTING_GO_SECONDS = 1.0
_DELETE_SECONDS = 5.0


class Checkpoints:
    """One attempt's; made by `checkpoints`. `folder` is the engine's to read and write."""

    def __init__(self, storage: Storage, job_id: JobId, folder: Path) -> None:
        self._storage, self._job_id, self.folder = storage, job_id, folder
        self._stored: set[Stage] = set()
        self._storing: set[asyncio.Task[None]] = set()
        self._found: list[str] = []

    async def fetch(self) -> None:
        """Bring what there is; most jobs have nothing, which costs one question."""
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                prefix = checkpoint_prefix(self._job_id)
                self._found = [found.key async for found in self._storage.objects(prefix)]
                for key in self._found:
                    await self._storage.download(key, self.folder / key.removeprefix(prefix))
        except (VerbatimError, TimeoutError, OSError) as error:
            log.warning("checkpoints not fetched", error=repr(error))

    def store(self, stage: Stage) -> None:
        """The engine has written this stage's: take it to the store, beside whatever goes on."""
        task = asyncio.create_task(self._store(stage), name=f"checkpoint-{stage}")
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)

    async def clear(self) -> None:
        """The job is completed, nobody will go on from here. What cannot be deleted now is an orphan, which the janitor takes."""
        keys = {*self._found, *(checkpoint_key(self._job_id, stage) for stage in self._stored)}
        if not keys:
            return
        try:
            async with asyncio.timeout(_DELETE_SECONDS):
                await self._storage.delete(keys)
        except (VerbatimError, TimeoutError) as error:
            log.warning("checkpoints not deleted", error=repr(error))

    async def settle(self, seconds: float) -> None:
        """Wait so long for what is on its way to the store, and give up the rest."""
        storing = tuple(self._storing)
        try:
            if storing and seconds:
                await asyncio.wait(storing, timeout=seconds)
        finally:
            for task in storing:
                task.cancel()
            await asyncio.gather(*storing, return_exceptions=True)

    async def _store(self, stage: Stage) -> None:
        path = self.folder / f"{stage}.json"
        self._stored.add(stage)
        try:
            async with asyncio.timeout(_STORE_SECONDS):
                document = await asyncio.to_thread(path.read_bytes)
                await self._storage.put(checkpoint_key(self._job_id, stage), document, content_type="application/json")
        except (VerbatimError, TimeoutError, OSError) as error:
            log.warning("checkpoint not stored", stage=stage, error=repr(error))
        else:
            log.info("checkpoint stored", stage=stage, size=len(document))


@asynccontextmanager
async def checkpoints(storage: Storage, job_id: JobId, folder: Path) -> AsyncIterator[Checkpoints]:
    """What is still on its way to the store when the block ends is waited for only if there may be a next attempt."""
    await asyncio.to_thread(folder.mkdir)
    kept = Checkpoints(storage, job_id, folder)
    patience = 0.0
    try:
        yield kept
    except PermanentError:
        raise
    except Exception:
        patience = _BEFORE_RETRY_SECONDS
        raise
    except asyncio.CancelledError:
        patience = _BEFORE_LETTING_GO_SECONDS
        raise
    finally:
        await kept.settle(patience)
