"""A stand-in for the transcribers: takes what is queued and finishes it at once, by the transitions that they make.

For tests of what happens before a job is taken and after it is done; what happens in between is the transcriber's own tests'.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from common import ids
from common.database import Pool
from common.ids import LeaseToken
from common.jobs import queue, store
from common.jobs.job import Failure, Job, Result
from common.storage import Storage
from common.storage_keys import transcript_key
from common.transcript import Language, Segment, Speaker, Transcript, Word, encode

SLOTS = 3
_LEASE = timedelta(seconds=60)
_POLL_SECONDS = 0.05

SEGMENTS = (
    Segment(0, 6.7, 11.7, "Hello, this is Diane.", 0.9, (Word("Hello,", 6.7, 7.1, 0.9, "aligned"),), speaker="SPEAKER_00"),
    Segment(1, 12.0, 14.5, "Hello Diane.", 0.8, (), speaker="SPEAKER_01"),
)
TALK = Transcript(
    "Hello, this is Diane. Hello Diane.",
    Language("en", 0.95),
    30.0,
    SEGMENTS,
    (Speaker("SPEAKER_00", 5.0), Speaker("SPEAKER_01", 2.5)),
    {"asr": "base"},
    {"transcribe": 0.1},
)
"""What is heard in whatever comes."""


def hear(_job: Job) -> Transcript | Failure:
    return TALK


@asynccontextmanager
async def transcribing(pool: Pool, storage: Storage, heard: Callable[[Job], Transcript | Failure] = hear) -> AsyncIterator[None]:
    """While the block runs, each job comes to what `heard` gives for it."""
    working = asyncio.create_task(_work(pool, storage, heard), name="transcribing")
    try:
        yield
    finally:
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working


async def _work(pool: Pool, storage: Storage, heard: Callable[[Job], Transcript | Failure]) -> None:
    async with pool.acquire() as connection:
        await queue.beat(connection, ids.new(), name="stand-in", slots=SLOTS, jobs_per_tenant=None, lasting=timedelta(minutes=5))
    while True:
        async with pool.acquire() as connection:
            job = await store.claim(connection, LeaseToken(ids.new()), lease=_LEASE, worker="stand-in")
        if job is None:
            await asyncio.sleep(_POLL_SECONDS)
        else:
            await _finish(pool, storage, job, heard(job))


async def _finish(pool: Pool, storage: Storage, job: Job, found: Transcript | Failure) -> None:
    if isinstance(found, Failure):
        async with pool.acquire() as connection:
            await store.fail(connection, job, found)
        return
    assert job.lease_token is not None
    key = transcript_key(job.id, job.lease_token)
    await storage.put(key, encode(found), content_type="application/json")
    result = Result(
        bucket=storage.bucket,
        keys={"transcript": key},
        language=found.language.code,
        duration=found.duration,
        speakers=len(found.speakers),
    )
    async with pool.acquire() as connection:
        await store.finish(connection, job, result)
