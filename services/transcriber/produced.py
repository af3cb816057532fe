"""What the engine leaves in an attempt's folder, and where it goes in the bucket.

Keys carry the attempt's lease, so two attempts never write to one object; the job's row says whose count.
"""

import asyncio
import hashlib
from pathlib import Path
from typing import NamedTuple, Self

import structlog

from common.errors import VerbatimError
from common.jobs.job import TRANSCRIPT, Job, Stored
from common.storage import Storage
from common.storage_keys import audio_key, transcript_key

log = structlog.get_logger(__name__)

_PIECE = 2**20


class Produced(NamedTuple):
    """The transcript, and the redacted copy of the recording if the job asked for one."""

    transcript: Path
    audio: Path

    @classmethod
    def within(cls, folder: Path) -> Self:
        return cls(folder / "transcript.json", folder / "audio.mp3")

    async def store(self, storage: Storage, job: Job) -> "Kept":
        """Put it into the bucket."""
        assert job.lease_token is not None
        keys = {TRANSCRIPT: transcript_key(job.id, job.lease_token)}
        objects = {}
        if job.options.redact:
            keys["audio"] = audio_key(job.id, job.lease_token)
            objects["audio"] = await _upload(storage, keys["audio"], self.audio)
        document = await asyncio.to_thread(self.transcript.read_bytes)
        await storage.put(keys[TRANSCRIPT], document, content_type="application/json")
        objects[TRANSCRIPT] = Stored(len(document), hashlib.sha256(document).hexdigest())
        return Kept(keys, objects)


class Kept(NamedTuple):
    """Where it lies and what it is, by name, for the job's result."""

    keys: dict[str, str]
    objects: dict[str, Stored]


async def forget_source(storage: Storage, job: Job) -> None:
    """Delete the recording of a finished job, of which a redacted copy is left. What cannot be deleted now is the janitor's."""
    try:
        await storage.delete([job.source_key])
    except VerbatimError as error:
        log.warning("recording left for the janitor", code=error.code, error=error.message)


async def _upload(storage: Storage, key: str, path: Path) -> Stored:
    with path.open("rb") as file:
        async with storage.upload(key, content_type="audio/mpeg") as upload:
            while piece := await asyncio.to_thread(file.read, _PIECE):
                await upload.write(piece)
        return Stored(upload.size, upload.sha256)
