"""What is done for every delivery, or all the time, stays cheap as their log grows."""

from common.database import Pool
from services.ingest import deliveries as shown
from services.ingest.webhooks import store as endpoints
from services.janitor.duties import deliveries as old
from services.janitor.duties import reannounce
from services.notifier import claims, deliveries, lanes
from tests.plans import plan

# One in fifty is pending, a few in flight; 10,000 of 200 endpoints, the others of jobs.
_DELIVERIES = """
insert into jobs (id, tenant, status, priority, options, source, retention, max_attempts)
select md5(n::text)::uuid, 'tenant ' || n % 50, 'queued', 1, '{}', '{}', '1 hour', 3 from generate_series(1, 10000) n;
insert into endpoints (id, tenant, url, events, description)
select md5('endpoint ' || n)::uuid, 'tenant ' || n % 50, 'https://example.com', '{job.completed}', '' from generate_series(0, 199) n;
insert into deliveries (id, job_id, endpoint_id, event_id, event_type, endpoint, lane, body, state,
                        due_at, created_at, finished_at, in_flight)
select gen_random_uuid(), md5(n::text)::uuid, endpoint, gen_random_uuid(), 'job.completed', 'https://example.com',
       lane_of(endpoint, 'tenant ' || n % 50, 'https://example.com'), '', case when n % 50 = 0 then 'pending' else 'delivered' end,
       now() - n * interval '1 second', now() - n * interval '1 second', case when n % 50 > 0 then now() - n * interval '1 second' end,
       n % 1000 = 0
from generate_series(1, 10000) n, lateral (values (null), (md5('endpoint ' || n % 200)::uuid)) kinds (endpoint);
insert into outbox (event_id, type, source, subject, body, available_at)
select gen_random_uuid(), case when n % 2 = 0 then 'job.created' else 'delivery.due' end, '/verbatim', n::text, '',
       now() + (n % 100 - 1) * interval '1 minute'
from generate_series(1, 10000) n;
insert into delivery_attempts (delivery_id, attempt, milliseconds) select id, 1, 10 from deliveries where state = 'delivered';
analyze;
"""
_ID = "gen_random_uuid()"

# Each query with the types of its parameters, values for them, and the index that it must use.
_HOT: dict[str, tuple[str, str, str, str]] = {
    "create_delivery": (
        deliveries.SQL["create_delivery"],
        "uuid, uuid, uuid, text, text, text, bytea",
        f"{_ID}, {_ID}, {_ID}, 'job.completed', 'webhook', 'thin', ''",
        "jobs_pkey",
    ),
    "enter_lanes": (
        claims.SQL["enter_lanes"],
        "uuid[], text[], uuid[]",
        f"array[{_ID}], array['a'], array[{_ID}]",
        "deliveries_pkey",
    ),
    "lanes_with_something_due": (
        claims.SQL["enter_lanes"],
        "uuid[], text[], uuid[]",
        f"array[{_ID}], array['a'], array[{_ID}]",
        "deliveries_waiting",
    ),
    "claim_attempts": (
        claims.SQL["claim_attempts"],
        "text[], bigint[], uuid[], interval, interval, bigint",
        f"array['a'], array[1], array[{_ID}], '45 s', '315 s', 4",
        "deliveries_in_flight",
    ),
    "claimed_before": (claims.SQL["claimed_before"], "uuid, int, text", f"{_ID}, 1, 'a'", "deliveries_in_flight"),
    "send_probes": (lanes.SQL["send_probes"], "text[]", "array['a']", "deliveries_waiting"),
    "next_due": (lanes.SQL["next_due"], "text, bigint", "'a', 4", "deliveries_waiting"),
    "deliver": (deliveries.SQL["deliver"], "uuid, int, timestamptz, interval", f"{_ID}, 1, now(), null", "deliveries_due"),
    "give_up": (lanes.SQL["give_up"], "text, interval", "'a', '5 days'", "deliveries_waiting"),
    "lock_uploaded": (lanes.SQL["lock_uploaded"], "text, interval", "'a', '5 days'", "deliveries_waiting"),
    "forget_lanes": (lanes.SQL["forget_lanes"], "", "", "deliveries_waiting"),
    "fail_pending": (deliveries.SQL["fail_pending"], "uuid", _ID, "deliveries_pending_by_endpoint"),
    "first_due": (endpoints.SQL["first_due"], "uuid", _ID, "deliveries_waiting"),
    "replay": (
        endpoints.SQL["replay"],
        "uuid, timestamptz, timestamptz, text[], int",
        f"{_ID}, now() - interval '1 hour', null, '{{failed}}', 1000",
        "deliveries_by_endpoint",
    ),
    "job_deliveries": (shown.SQL["job_deliveries"], "uuid", _ID, "deliveries_by_job"),
    "attempts": (shown.SQL["attempts"], "uuid[]", f"array[{_ID}]", "delivery_attempts_pkey"),
    "old_deliveries": (old.SQL["old_deliveries"], "interval, int", "'30 days', 1000", "deliveries_settled"),
    "count_attempts": (reannounce.SQL["count_attempts"], "interval", "'1 min'", "deliveries_due"),
    "refused_attempts": (reannounce.SQL["count_attempts"], "interval", "'1 min'", "outbox_refused"),
    "overdue_attempts": (reannounce.SQL["overdue_attempts"], "interval, int, int", "'1 min', 1000, 4", "deliveries_due"),
}
_SMALL = {"lanes", "overdue_lanes", "endpoints", "webhook_secrets"}  # what gives no answer, was lost; twenty a tenant; none in this test


async def test_deliveries_are_found_by_their_indexes(pool: Pool) -> None:
    """With 20,000 of them no query for one, for a lane or for what is due reads them all."""
    async with pool.acquire() as connection:
        await connection.execute(_DELIVERIES)
        plans = {name: await plan(connection, *query) for name, (*query, _) in _HOT.items()}
    assert {name: found.scanned for name, found in plans.items() if found.scanned - _SMALL} == {}
    assert {name: found.indexes for name, found in plans.items() if _HOT[name][3] not in found.indexes} == {}
