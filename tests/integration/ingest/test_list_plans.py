"""Lists beside that of jobs cost the same however long they are: each filter goes through an index, and no table that grows is scanned."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from common import ids
from common.database import Connection, Pool
from common.ids import JobId
from common.jobs.listing import Place
from services.ingest.admin import dead_letters, keys
from services.ingest.admin.dead_letters import LettersQuery
from services.ingest.admin.keys import KeysQuery
from services.ingest.webhooks import log
from services.ingest.webhooks.log import LogQuery
from tests.plans import plan

# Nine in ten are of one endpoint; one in 1,000 failed, one in 1,000 is pending.
_DELIVERIES = """
insert into deliveries (id, event_id, event_type, endpoint_id, endpoint, lane, body, state, attempt, created_at, finished_at)
select gen_random_uuid(), gen_random_uuid(), 'job.completed',
       case when n % 10 = 0 then $2::uuid else $1::uuid end, 'https://a.example', 'a', '',
       case n % 1000 when 1 then 'failed' when 2 then 'pending' else 'delivered' end, 2, now() - n * interval '1 second', now()
from generate_series(1, 20000) n
"""
_LETTERS = """
insert into dead_letters (id, queue, reason, headers, body, recorded_at)
select gen_random_uuid(), 'queue ' || n % 5, 'rejected', '{}', '', now() - n * interval '1 second' from generate_series(1, 5000) n
"""
_KEYS = """
insert into api_keys (id, tenant, name, hash, scopes)
select gen_random_uuid(), 'tenant ' || n % 5, '', int4send(n), '{read}' from generate_series(1, 5000) n
"""
_NOW = datetime.now(UTC)
_PLACE = Place(_NOW - timedelta(hours=2), JobId(ids.new())).encode()
_PAGES = {
    "none": LogQuery(),
    "cursor": LogQuery(cursor=_PLACE),
    "failed": LogQuery(state="failed"),
    "pending": LogQuery(state="pending"),
    "delivered": LogQuery(state="delivered", cursor=_PLACE),
    "times": LogQuery(created_after=_NOW - timedelta(hours=3), created_before=_NOW - timedelta(hours=2)),
    "all": LogQuery(state="failed", created_after=_NOW - timedelta(hours=4), created_before=_NOW - timedelta(hours=1), cursor=_PLACE),
}


async def filled(connection: Connection) -> UUID:
    """The endpoint that has most of the deliveries."""
    busy, other = ids.new(), ids.new()
    for endpoint in (busy, other):
        await connection.execute(
            "insert into endpoints (id, tenant, url, events, description) values ($1, 'default', 'https://a.example', '{}', '')", endpoint
        )
    await connection.execute(_DELIVERIES, busy, other)
    await connection.execute(_LETTERS)
    await connection.execute(_KEYS)
    await connection.execute("analyze")
    return busy


async def touched(connection: Connection, sql: str, arguments: list[Any]) -> tuple[int, bool]:
    """How many pages a query reads with a plan for these values, and whether it reads a table from one end to the other."""
    answer = await connection.fetchval(f"explain (analyze, buffers, format json) {sql}", *arguments)
    top = msgspec.json.decode(answer)[0]["Plan"]
    return top["Shared Hit Blocks"] + top["Shared Read Blocks"], "Seq Scan" in answer


async def test_no_list_scans_what_grows(pool: Pool) -> None:
    """With any filter, whether the plan is made for the values at hand or for all; and a page reads a few hundred pages at the most."""
    async with pool.acquire() as connection:
        busy = await filled(connection)
        lists = {f"log, {name}": log.statement(busy, asked) for name, asked in _PAGES.items()}
        lists["letters"] = dead_letters.statement(LettersQuery())
        lists["letters of a queue"] = dead_letters.statement(LettersQuery(queue="queue 1", cursor=_PLACE))
        lists["keys"] = keys.statement(KeysQuery(cursor=_PLACE))
        lists["keys of a tenant"] = keys.statement(KeysQuery(tenant="tenant 1", cursor=_PLACE))
        for name, (sql, arguments) in lists.items():
            pages, scanned = await touched(connection, sql, arguments)
            assert (pages < 300, scanned) == (True, False), (name, pages)
            assert (await plan(connection, sql, "", ", ".join(["null"] * len(arguments)))).scanned == set(), name
