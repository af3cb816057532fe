"""What runs all the time stays cheap as the tables grow: each hot query goes through its index, whatever is in the tables."""

from common import outbox
from common.database import Connection, Pool
from common.jobs import objects, removal, store, upkeep
from tests.plans import pages, plan

# One in fifty is processing, a fifth queued, the rest over; half of what is over is due to expire, half of the events are not due yet.
_JOBS = """
insert into jobs (id, tenant, status, priority, options, source, retention, max_attempts, attempt, lease_token, lease_until, result, error,
                  band, turn, duration, band_since, claim_after, queued_at, finished_at, expires_at)
select gen_random_uuid(), 'tenant ' || n % 50, status, n % 3, '{}', '{}', '1 hour', 3, 1,
       case when status = 'processing' then gen_random_uuid() end,
       case when status = 'processing' then now() + (n % 20 - 1) * interval '1 second' end,
       '{}', '{}', n % 3, n / 50, 60, now() - n * interval '1 second', now() - n * interval '1 second', now(),
       case when status not in ('queued', 'processing') then now() end,
       case when status not in ('queued', 'processing') then now() + (n % 2 * 2 - 1) * n * interval '1 second' end
from (
    select n, (case when n % 50 = 0 then 'processing' when n % 5 = 1 then 'queued' when n % 5 = 2 then 'failed' else 'completed' end
              )::job_status as status
    from generate_series(1, 50000) n
) numbered
"""
_EVENTS = """
insert into outbox (event_id, type, source, subject, body, available_at)
select gen_random_uuid(), case when n % 2 = 0 then 'job.created' else 'delivery.due' end, '/verbatim', gen_random_uuid()::text, '',
       now() + (n % 2 * 2 - 1) * n * interval '1 second'
from generate_series(1, 50000) n
"""

# Each query with the types of its parameters, values for them, and the index it must use.
_HOT: dict[str, tuple[str, str, str, str]] = {
    "claim_job": (store.SQL["claim_job"], "uuid, interval, text, float8", "gen_random_uuid(), '15 s', 'w', 60", "jobs_claimable"),
    "claim_job_within_limit": (
        store.SQL["claim_job_within_limit"],
        "uuid, interval, text, float8, int",
        "gen_random_uuid(), '15 s', 'w', 60, 30",
        "jobs_waiting",
    ),
    "lift_jobs": (upkeep.SQL["lift_jobs"], "interval, int", "'1 min', 100", "jobs_waiting"),
    "create_job": (
        store.SQL["create_job"],
        "uuid, text, int, jsonb, jsonb, interval, int, text, real, boolean, text",
        "gen_random_uuid(), 'tenant 1', 1, '{}', '{}', '1 hour', 3, null, 60, false, null",
        "jobs_waiting",
    ),
    "find_reusable": (store.SQL["find_reusable"], "text, text, text[], jsonb", "'tenant 1', '00', '{reuse}', '{}'", "jobs_reusable"),
    "next_of_tenant": (upkeep.SQL["next_of_tenant"], "text", "'tenant 1'", "jobs_waiting"),
    "rescue_jobs": (upkeep.SQL["rescue_jobs"], "int, jsonb", "100, '{}'", "jobs_leases"),
    "expired_jobs": (removal.SQL["expired_jobs"], "int, timestamptz, uuid", "100, null, null", "jobs_expiring"),
    "delivered_jobs": (removal.SQL["delivered_jobs"], "int, timestamptz, uuid, text[]", "100, null, null, '{}'", "jobs_delivered"),
    "recordings_over": (objects.SQL["recordings_over"], "int, timestamptz, uuid, interval", "100, null, null, '1 h'", "jobs_recorded"),
    "recordings_replaced": (objects.SQL["recordings_replaced"], "int, timestamptz, uuid", "100, null, null", "jobs_redacted"),
    "old_tombstones": (removal.SQL["old_tombstones"], "interval, int, timestamptz, uuid", "'1 day', 100, null, null", "jobs_tombstones"),
    "resumable_jobs": (store.SQL["resumable_jobs"], "int, timestamptz, uuid", "100, null, null", "jobs_resumable"),
    "condemn_jobs": (removal.SQL["condemn_jobs"], "uuid[], text, text", "array[gen_random_uuid()], 't', 'completed'", "jobs_pkey"),
    "delete_jobs": (removal.SQL["delete_jobs"], "uuid[], text", "array[gen_random_uuid()], 't'", "jobs_pkey"),
    "renew_lease": (
        store.SQL["renew_lease"],
        "uuid, uuid, interval, text, real, real, text",
        "gen_random_uuid(), gen_random_uuid(), '15 s', 'decode', 1, null, null",
        "jobs_pkey",
    ),
    "get_job": (store.SQL["get_job"], "uuid, text", "gen_random_uuid(), 't'", "jobs_pkey"),
    "get_jobs": (store.SQL["get_jobs"], "uuid[], text[]", "array[gen_random_uuid()], '{t}'", "jobs_pkey"),
    "take_events": (outbox.SQL["take_events"], "int", "100", "outbox_due"),
    "delete_events": (outbox.SQL["delete_events"], "bigint[]", "'{1,2,3}'", "outbox_pkey"),
    "next_due": (outbox.SQL["next_due"], "", "", "outbox_due"),
    "promised_jobs": (removal.SQL["promised_jobs"], "uuid[], interval", "array[gen_random_uuid()], '7 days'", "jobs_pkey"),
    "count_tokens": (upkeep.SQL["count_tokens"], "interval", "'5 s'", "outbox_by_type"),
    "untold_jobs": (upkeep.SQL["untold_jobs"], "interval, interval, int", "'30 s', '1 h', 1", "outbox_by_type"),
    "refused_tokens": (upkeep.SQL["count_tokens"], "interval", "'5 s'", "outbox_refused"),
}
_SMALL = {"queue_rounds", "lexicons", "job_lexicons", "deliveries", "endpoints", "workers"}  # three rows; and none in this test


async def test_hot_queries_use_their_indexes(pool: Pool) -> None:
    """With 50,000 jobs and events no hot query scans a table, and each uses the index that was made for it."""
    async with pool.acquire() as connection:
        await connection.execute(_JOBS)
        await connection.execute(_EVENTS)
        await connection.execute("analyze")
        plans = {name: await plan(connection, *query) for name, (*query, _) in _HOT.items()}
    assert {name: found.scanned for name, found in plans.items() if found.scanned - _SMALL} == {}
    assert {name: found.indexes for name, found in plans.items() if _HOT[name][3] not in found.indexes} == {}


async def test_hot_queries_read_a_handful_of_pages(pool: Pool) -> None:
    """A claim, a relay's batch and the janitor's looks touch pages for what they return, not for what is in the table."""
    async with pool.acquire() as connection:
        await connection.execute(_JOBS)
        await connection.execute(_EVENTS)
        await connection.execute("vacuum analyze jobs, outbox")
        touched = {
            "claim_job": await _pages(connection, "claim_job"),
            "claim_job_within_limit": await _pages(connection, "claim_job_within_limit"),
            "create_job": await _pages(connection, "create_job"),
            "take_events": await _pages(connection, "take_events"),
            "expired_jobs": await _pages(connection, "expired_jobs"),
            "next_due": await _pages(connection, "next_due"),
        }
    print(touched)  # noqa: T201 - shown when it fails
    # One row is written through a dozen indexes of three pages each, and a page splits now and then; the table has over 2,000.
    assert touched["claim_job"] < 150
    assert touched["create_job"] < 150
    assert touched["claim_job_within_limit"] < 150 + 50 * 8 + 1_100  # the first job of each of 50 tenants; all 1,000 that are processing
    # A batch of a hundred reads and locks a hundred rows, each perhaps on a page of its own.
    assert touched["next_due"] < 20
    assert touched["take_events"] < 300
    assert touched["expired_jobs"] < 200


async def _pages(connection: Connection, name: str) -> int:
    *query, _ = _HOT[name]
    return await pages(connection, *query)
