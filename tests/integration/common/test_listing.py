"""A page of jobs costs the same however many there are: each filter goes through an index, and no table is scanned."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from common import ids
from common.database import Pool
from common.ids import JobId
from common.jobs import listing
from common.jobs.job import Status
from common.jobs.listing import Filters, Place

# Ten tenants, of whom `t1` has nine jobs in ten; one in 1,000 failed; every job has a desk (few of them), a call (its own) and a rare flag.
_JOBS = """
insert into jobs (id, tenant, status, priority, options, source, retention, max_attempts, attempt, result, error, created_at,
                  band, turn, duration, band_since)
select gen_random_uuid(), case when n % 10 = 0 then 't' || 2 + n % 9 else 't1' end,
       (case when n % 1000 = 1 then 'failed' else 'completed' end)::job_status, 1,
       jsonb_build_object('metadata', jsonb_build_object('desk', (n % 3)::text, 'call', n::text)
                          || case when n % 5000 = 7 then '{"flag": "red"}' else '{}' end::jsonb),
       '{"filename": "a", "content_type": "b", "size": 1, "sha256": "c", "kind": "audio"}', '1 hour', 3, 1,
       '{"bucket": "b", "keys": {}, "language": "en", "duration": 1, "speakers": 1}',
       '{"code": "c", "message": "m", "retryable": false}', now() - n * interval '1 second', 1, 0, 60, now()
from generate_series(1, 50000) n
"""

_NOW = datetime.now(UTC)
_FILTERS: dict[str, tuple[Filters, Place | None]] = {
    "none": (Filters(), None),
    "cursor": (Filters(), Place(_NOW - timedelta(hours=5), JobId(ids.new()))),
    "common status": (Filters(status=Status.COMPLETED), None),
    "rare status": (Filters(status=Status.FAILED), None),
    "absent status": (Filters(status=Status.QUEUED), None),
    "times": (Filters(created_after=_NOW - timedelta(hours=6), created_before=_NOW - timedelta(hours=5)), None),
    "status, times, cursor": (
        Filters(status=Status.FAILED, created_after=_NOW - timedelta(hours=9)),
        Place(_NOW - timedelta(hours=5), JobId(ids.new())),
    ),
    "common metadata": (Filters(metadata={"desk": "1"}), None),
    "rare metadata": (Filters(metadata={"flag": "red"}), None),
    "one's own metadata": (Filters(metadata={"call": "4711"}), None),
    "absent metadata": (Filters(metadata={"call": "none"}), None),
    "common and rare metadata": (Filters(metadata={"desk": "1", "flag": "red"}), None),
    "all": (
        Filters(status=Status.COMPLETED, created_before=_NOW - timedelta(hours=1), metadata={"desk": "1"}),
        Place(_NOW - timedelta(hours=5), JobId(ids.new())),
    ),
}


async def test_every_filter_uses_an_index(pool: Pool) -> None:
    """With 50,000 jobs no page scans the table or reads more than a few hundred pages of it."""
    async with pool.acquire() as connection:
        await connection.execute(_JOBS)
        await connection.execute("analyze jobs")
        await connection.execute("set plan_cache_mode = force_custom_plan")
        scanned: dict[str, Any] = {}
        touched: dict[str, int] = {}
        for name, (filters, after) in _FILTERS.items():
            sql, arguments = listing.statement("t1", filters, after=after, limit=51)
            [answer] = await connection.fetch(f"explain (analyze, buffers, format json) {sql}", *arguments)
            plan = msgspec.json.decode(answer[0])[0]["Plan"]
            touched[name] = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            if "Seq Scan" in answer[0]:
                scanned[name] = plan
    assert scanned == {}
    assert {name: count for name, count in touched.items() if count > 500} == {}


async def test_a_generic_plan_serves_all_but_metadata(pool: Pool) -> None:
    """Statements that are prepared once and kept have their index too."""
    async with pool.acquire() as connection:
        await connection.execute(_JOBS)
        await connection.execute("analyze jobs")
        await connection.execute("set plan_cache_mode = force_generic_plan")
        for filters, after in _FILTERS.values():
            if not filters.metadata:
                sql, arguments = listing.statement("t1", filters, after=after, limit=51)
                plan = "\n".join(row[0] for row in await connection.fetch(f"explain {sql}", *arguments))
                assert "Seq Scan" not in plan, plan


async def test_pages_are_complete(pool: Pool) -> None:
    """Page by page every job of the tenant comes once, newest first, for a filter that each of the plans could serve."""
    async with pool.acquire() as connection:
        await connection.execute(_JOBS.replace("50000", "500"))
        for filters in (Filters(), Filters(status=Status.COMPLETED), Filters(metadata={"desk": "1"})):
            seen, after = [], None
            while page := await listing.page(connection, "t1", filters, after=after, limit=7):
                seen += page
                after = Place.decode(Place.of(page[-1]).encode())
            expected = [
                row["id"]
                for row in await connection.fetch(
                    "select id from jobs where tenant = 't1' and options->'metadata' @> $1 and ($2::text is null or status::text = $2)"
                    " order by created_at desc, id desc",
                    filters.metadata,
                    filters.status,
                )
            ]
            assert [job.id for job in seen] == expected


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "ä", "f" * 32])
def test_what_is_no_cursor(cursor: str) -> None:
    """Is refused with a sentence."""
    with pytest.raises(ValueError, match="is no cursor"):
        Place.decode(cursor)
