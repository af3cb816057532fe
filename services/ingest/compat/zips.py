"""The zip of clips that the earlier service made with each job: here it is made when somebody first looks whether the job is done.

To such a client the job is completed when its zip is there. What cannot be cut (nothing was said, the recording was deleted) is a completed
job whose download says so.
"""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import PurePath

from common.archives import Cut, Wanted
from common.database import Pool
from common.jobs.job import Job
from common.storage import Storage
from services.ingest import archive
from services.ingest.problems import Problem

MEDIA_TYPE = "application/zip"
_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.2, 3.0


class Zips:
    """The zips of all jobs."""

    def __init__(self, pool: Pool, storage: Storage) -> None:
        self._pool = pool
        self._storage = storage

    async def lacking(self, job: Job, *, seconds: float) -> Problem | None:
        """Why there is no zip of a completed job; has it made if need be, and waits for so long if that would help."""
        deadline, pause = asyncio.get_running_loop().time() + seconds, _POLL_SECONDS
        while True:
            try:
                await archive.require(self._pool, self._storage, job, _wanted(job))
            except Problem as problem:
                left = deadline - asyncio.get_running_loop().time()
                if not unfinished(problem) or left <= 0:
                    return problem
                await asyncio.sleep(min(left, pause))
                pause = min(_LONGEST_POLL_SECONDS, pause * 1.5)
            else:
                return None

    def read(self, job: Job) -> AsyncGenerator[bytes, None]:
        """The zip, which is there; however slowly it is taken, that keeps nobody else from the store."""
        return self._storage.pieces(_wanted(job).key)


def unfinished(problem: Problem) -> bool:
    """Whether what is lacking will be there by itself."""
    return problem.code == "archive_not_ready"


def headers(job: Job) -> dict[str, str]:
    """What a browser calls the file."""
    stem = PurePath(job.source.filename).stem
    name = "".join(letter for letter in stem if letter.isascii() and (letter.isalnum() or letter in "-_."))
    return {"Content-Disposition": f'attachment; filename="{name or job.id}.zip"'}


def _wanted(job: Job) -> Wanted:
    return Wanted(job.id, Cut(by="line" if job.options.reference else "segment"))
