"""Tells those who watch a job what is heard of it, while it is heard: a few times a second at most, however fast the engine is.

It is worth less than the attempt that it is told of: what cannot be told in time is dropped, and the attempt never waits for it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from common.database import AWAY, Pool
from common.jobs.job import Job
from common.jobs.partials import CHANNEL, PartialSegment, payloads

log = structlog.get_logger(__name__)

_LEAST_SECONDS = 0.4
_LIMIT_SECONDS = 2.0
_MOST_WAITING = 200


@asynccontextmanager
async def telling(pool: Pool, job: Job) -> AsyncIterator[Callable[[PartialSegment], None]]:
    """Takes segments for as long as the block lasts; what has not been told at its end is not told.

    Of a job with something to redact or mask nothing is: that is done last, so what is heard still has it.
    """
    waiting: deque[PartialSegment] = deque(maxlen=_MOST_WAITING)
    news = asyncio.Event()
    shown = not (job.options.redact or job.options.mask_profanity)

    def tell(segment: PartialSegment) -> None:
        if shown:
            waiting.append(segment)
            news.set()

    task = asyncio.create_task(_tell(pool, job, waiting, news), name=f"telling-{job.id}")
    try:
        yield tell
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _tell(pool: Pool, job: Job, waiting: deque[PartialSegment], news: asyncio.Event) -> None:
    while True:
        await news.wait()
        news.clear()
        segments = list(waiting)
        waiting.clear()
        try:
            async with asyncio.timeout(_LIMIT_SECONDS), pool.acquire() as connection:
                for payload in payloads(job.id, segments):
                    await connection.execute("select pg_notify($1, $2)", CHANNEL, payload)
        except AWAY as error:
            log.warning("partial segments dropped", count=len(segments), error=repr(error))
        await asyncio.sleep(_LEAST_SECONDS)
