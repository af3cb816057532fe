"""Requests that come at once share a query, and each gets its own answer."""

import asyncio
from uuid import uuid4

import asyncpg

from common.database import Pool, connect
from common.ids import JobId
from services.ingest.reads import Reads
from tests.jobs import queued


async def test_those_who_ask_at_once_share_a_query(database_url: str) -> None:
    """Thirty requests, one query; another tenant's job and one that is not there are None."""
    selects: list[str] = []
    async with connect(database_url, name="test", max_size=1) as pool:
        async with pool.acquire() as connection:
            jobs = [await queued(connection) for _ in range(3)]
            other = await queued(connection, tenant="other")
            connection.add_query_logger(lambda record: selects.append(record.query))
        reads = Reads(pool)
        asked = [(job.id, job.tenant) for job in jobs] * 9 + [(other.id, jobs[0].tenant), (other.id, "other"), (JobId(uuid4()), "other")]
        answers = await asyncio.gather(*[reads.get(*each) for each in asked])

    assert [job and job.id for job in answers] == [job.id for job in jobs] * 9 + [None, other.id, None]
    assert sum("unnest" in query for query in selects) == 1


async def test_what_breaks_a_query_reaches_all_who_share_it(pool: Pool, database_url: str) -> None:
    """Each of them is told, a request that has gone disturbs nobody, and the next ones are answered."""
    async with pool.acquire() as connection:
        job = await queued(connection)
        reads = Reads(pool)
        await connection.execute("alter table jobs rename to away")
        asking = [asyncio.create_task(reads.get(job.id, job.tenant)) for _ in range(3)]
        await asyncio.sleep(0)
        asking[0].cancel()
        told = await asyncio.gather(*asking, return_exceptions=True)
        await connection.execute("alter table away rename to jobs")

    assert [type(each) for each in told] == [asyncio.CancelledError, asyncpg.UndefinedTableError, asyncpg.UndefinedTableError]
    found = await reads.get(job.id, job.tenant)
    assert found is not None
    assert found.id == job.id
