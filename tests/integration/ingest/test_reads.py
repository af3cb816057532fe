"""Requests that come at once share a query, and each gets its own answer."""

import asyncio
from typing import Any, cast
from uuid import uuid4

import asyncpg

from common.database import Pool, connect
from common.ids import JobId
from common.jobs import store
from services.ingest.auth import Authentication, caller_in, create_key
from services.ingest.problems import Problem
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
        reads = Reads(pool, store.get_many)
        asked = [(job.id, job.tenant) for job in jobs] * 9 + [(other.id, jobs[0].tenant), (other.id, "other"), (JobId(uuid4()), "other")]
        answers = await asyncio.gather(*[reads.get(each) for each in asked])

    assert [job and job.id for job in answers] == [job.id for job in jobs] * 9 + [None, other.id, None]
    assert sum("unnest" in query for query in selects) == 1


async def test_what_breaks_a_query_reaches_all_who_share_it(pool: Pool, database_url: str) -> None:
    """Each of them is told, a request that has gone disturbs nobody, and the next ones are answered."""
    async with pool.acquire() as connection:
        job = await queued(connection)
        reads = Reads(pool, store.get_many)
        await connection.execute("alter table jobs rename to away")
        asking = [asyncio.create_task(reads.get((job.id, job.tenant))) for _ in range(3)]
        await asyncio.sleep(0)
        asking[0].cancel()
        told = await asyncio.gather(*asking, return_exceptions=True)
        await connection.execute("alter table away rename to jobs")

    assert [type(each) for each in told] == [asyncio.CancelledError, asyncpg.UndefinedTableError, asyncpg.UndefinedTableError]
    found = await reads.get((job.id, job.tenant))
    assert found is not None
    assert found.id == job.id


async def test_keys_are_looked_up_together(database_url: str) -> None:
    """Requests that show keys share a query too; each is its own key's, and one whose key was revoked is refused."""
    queries: list[str] = []
    callers: list[str] = []
    async with connect(database_url, name="test", max_size=1) as pool:
        async with pool.acquire() as connection:
            keys = [await create_key(connection, tenant=tenant, name="", scopes=("read",)) for tenant in ("one", "other", "revoked")]
            await connection.execute("update api_keys set revoked_at = now() where tenant = 'revoked'")
            connection.add_query_logger(lambda record: queries.append(record.query))

        async def app(scope: Any, _receive: Any, _send: Any) -> None:
            callers.append(caller_in(scope, "read").tenant)

        async def ask(key: str) -> None:
            scope: Any = {"type": "http", "path": "/api/v1/jobs", "headers": [(b"authorization", f"Bearer {key}".encode())]}
            await guarded(scope, nobody, nobody)

        guarded, nobody = Authentication(pool)(app), cast("Any", None)
        told = await asyncio.gather(*[ask(key) for key in keys * 5], return_exceptions=True)

    assert sorted(callers) == ["one"] * 5 + ["other"] * 5
    assert [isinstance(each, Problem) and each.status for each in told] == [False, False, 401] * 5
    assert sum("api_keys" in query for query in queries) == 1
