"""What keeps the guarantees of docs/architecture/guarantees.md: each guard, how to take it out, and the test that must then fail.

`./run bench guards` does that, one guard at a time, in a copy of the sources. The texts are exact: who changes a guard meets it here.
"""

import msgspec

_COMMON = "tests/integration/common"
_TRANSITIONS = f"{_COMMON}/test_job_transitions.py"
_RELAY = f"{_COMMON}/test_relay.py"
_WEBHOOKS = "tests/integration/notifier/test_attempts.py"
_LANES = "tests/integration/notifier/test_lanes.py"
_ACCESS = "tests/integration/ingest/test_access.py::test_who_may_not"
_MODEL = "tests/model/test_jobs.py::test_no_order_of_events_breaks_a_law"


class Guard(msgspec.Struct, frozen=True):
    """`text`, in `file`, is replaced by `without` wherever it stands; then `test` must fail."""

    name: str
    file: str
    text: str
    without: str
    test: str


GUARDS = (
    Guard(
        "a worker's writes name its lease",
        "libs/common/jobs/store.sql",
        "status = 'processing' and lease_token = $2",
        "status = 'processing' and $2::uuid is not null",
        f"{_TRANSITIONS}::test_a_worker_without_the_lease_changes_nothing",
    ),
    Guard(
        "the same, in the model",
        "libs/common/jobs/store.sql",
        "status = 'processing' and lease_token = $2",
        "status = 'processing' and $2::uuid is not null",
        _MODEL,
    ),
    Guard(
        "change and event are one transaction",
        "libs/common/jobs/store.py",
        'async with connection.transaction():\n        return await change(connection, "job.completed", SQL["finish_job"]',
        'if True:\n        return await change(connection, "job.completed", SQL["finish_job"]',
        f"{_TRANSITIONS}::test_a_failed_event_takes_the_change_back",
    ),
    Guard(
        "every change is announced",
        "libs/common/jobs/announcing.py",
        "    job = from_row(row)\n    await announce(connection, event, job, delay=delay)",
        "    job = from_row(row)",
        _MODEL,
    ),
    Guard(
        "a commit that fails is asked for again",
        "libs/common/database.py",
        "    asyncpg.InsufficientResourcesError,\n",
        "",
        f"{_COMMON}/test_database.py::test_a_failure_that_is_not_for_what_was_asked_counts_as_away",
    ),
    Guard(
        "a token is for a job that nobody claims",
        "libs/common/jobs/upkeep.sql",
        "order by band, turn, id\nlimit $2\nfor update skip locked;",
        "order by band, turn, id\nlimit $2;",
        "tests/integration/janitor/test_reissue.py::test_a_job_that_is_being_claimed_gets_none",
    ),
    Guard(
        "a claim locks the job it takes",
        "libs/common/jobs/store.sql",
        "    order by band, turn, id\n    limit 1\n    for update skip locked\n",
        "    order by band, turn, id\n    limit 1\n",
        f"{_COMMON}/test_claiming.py::test_no_job_is_given_to_two_of_twenty_workers",
    ),
    Guard(
        "a claim waits for no other",
        "libs/common/jobs/store.sql",
        "    order by band, turn, id\n    limit 1\n    for update skip locked\n",
        "    order by band, turn, id\n    limit 1\n    for update\n",
        f"{_COMMON}/test_claiming.py::test_a_job_locked_by_another_claim_is_passed_over",
    ),
    Guard(
        "only a lease that ran out is rescued",
        "libs/common/jobs/upkeep.sql",
        "where status = 'processing' and lease_until < now()",
        "where status = 'processing'",
        f"{_TRANSITIONS}::test_rescue_takes_only_leases_that_ran_out",
    ),
    Guard(
        "attempts are counted",
        "libs/common/jobs/store.sql",
        "and lease_token = $2 and attempt < max_attempts",
        "and lease_token = $2",
        f"{_TRANSITIONS}::test_no_retry_is_left_after_the_last_attempt",
    ),
    Guard(
        "our own shutdown spends no attempt",
        "libs/common/jobs/store.sql",
        "attempt = attempt - 1",
        "attempt = attempt",
        f"{_TRANSITIONS}::test_our_own_shutdown_spends_no_attempt_and_no_place_in_the_queue",
    ),
    Guard(
        "who condemns a job makes its time be over",
        "libs/common/jobs/removal.sql",
        "set expires_at = created_at\nwhere id = $1",
        "set expires_at = expires_at\nwhere id = $1",
        "tests/integration/ingest/test_acting.py::test_no_retry_while_the_recording_is_on_its_way_out",
    ),
    Guard(
        "what is over is not tried again",
        "libs/common/jobs/store.sql",
        " and expires_at > clock_timestamp() + interval '10 seconds'",
        "",
        "tests/integration/ingest/test_acting.py::test_no_retry_while_the_recording_is_on_its_way_out",
    ),
    Guard(
        "only what is due expires",
        "libs/common/jobs/removal.sql",
        "where jobs.id = gone.id and status in ('completed', 'failed', 'cancelled') and expires_at < now()",
        "where jobs.id = gone.id",
        f"{_TRANSITIONS}::test_only_what_is_due_expires",
    ),
    Guard(
        "a job is read with its tenant",
        "libs/common/jobs/store.sql",
        "select * from jobs where id = $1 and tenant = $2;",
        "select * from jobs where id = $1 and $2::text is not null;",
        f"{_TRANSITIONS}::test_another_tenants_job_is_not_there",
    ),
    Guard(
        "a tenant's submissions queue up one by one",
        "libs/common/jobs/store.sql",
        "select pg_advisory_xact_lock(hashtextextended('tail ' || $1::text, 0)), ",
        "select $1::text, ",
        f"{_COMMON}/test_fairness.py::test_submissions_at_the_same_time_each_take_a_turn_of_their_own",
    ),
    Guard(
        "an event that nobody takes is an error",
        "libs/common/relay.py",
        "mandatory=event.type in topology.ROUTED",
        "mandatory=False",
        f"{_RELAY}::test_an_event_that_no_queue_takes_is_put_off_and_kept",
    ),
    Guard(
        "the broker confirms what is published",
        "libs/common/broker.py",
        "channel(publisher_confirms=True, on_return_raises=True)",
        "channel(publisher_confirms=False)",
        f"{_RELAY}::test_nothing_is_lost_when_the_broker_goes_away",
    ),
    Guard(
        "only what was confirmed is deleted",
        "libs/common/relay.py",
        "await outbox.delete(connection, confirmed)",
        "await outbox.delete(connection, [row for row, _ in taken])",
        f"{_RELAY}::test_an_event_that_no_queue_takes_is_put_off_and_kept",
    ),
    Guard(
        "a relay locks the events it takes",
        "libs/common/outbox.sql",
        "limit $1\nfor update skip locked",
        "limit $1",
        f"{_RELAY}::test_several_relays_publish_each_event_once",
    ),
    Guard(
        "a transaction that stands still is ended",
        "libs/common/database.py",
        '"idle_in_transaction_session_timeout": str(round(abandoned / timedelta(milliseconds=1))),',
        "",
        f"{_RELAY}::test_a_relay_that_is_stopped_lets_go_of_its_events",
    ),
    Guard(
        "a delayed event waits",
        "libs/common/outbox.sql",
        "where available_at <= now()",
        "where true",
        f"{_RELAY}::test_a_delayed_event_comes_at_its_time",
    ),
    Guard(
        "poison is given up",
        "libs/common/topology.py",
        '            "x-delivery-limit": DELIVERY_LIMIT,\n',
        "",
        f"{_COMMON}/test_broker.py::test_a_message_that_is_never_acked_ends_as_a_dead_letter",
    ),
    Guard(
        "tokens that are lost are issued again",
        "services/janitor/duties/reissue.py",
        "due = min(found, self._missing_before, _LIMIT)",
        "due = 0",
        "tests/integration/janitor/test_reissue.py::test_a_purged_queue_is_filled_again",
    ),
    Guard(
        "one janitor at a time for each duty",
        "services/janitor/lock.py",
        "yield connection if held else None",
        "yield connection if held is not None else None",
        "tests/integration/janitor/test_sweeper.py::test_two_janitors_never_do_the_same_duty_at_once",
    ),
    Guard(
        "bytes go before rows",
        "services/janitor/duties/expire.py",
        "[job for job in jobs if job.id in emptied]",
        "jobs",
        "tests/integration/janitor/test_expire.py::test_one_job_that_cannot_be_emptied_holds_up_no_other",
    ),
    Guard(
        "a result that was promised to somebody stays",
        "services/janitor/duties/expire.py",
        "for job in jobs if job.id not in needed]",
        "for job in jobs]",
        "tests/integration/janitor/test_expire.py::test_a_result_waits_for_a_notifier_that_is_away",
    ),
    Guard(
        "a relay beside requests rests",
        "libs/common/relay.py",
        "self._rest = (1 - share) / share",
        "self._rest = 0.0",
        "tests/integration/common/test_relay.py::test_a_relay_with_a_share_gives_way",
    ),
    Guard(
        "young objects may be somebody's yet",
        "services/janitor/duties/orphans.py",
        "if found.age > self._grace and (place",
        "if (place",
        "tests/integration/janitor/test_bucket_duties.py::test_young_objects_are_given_time",
    ),
    Guard(
        "an upload that fails is undone",
        "libs/common/storage.py",
        "await asyncio.shield(upload.abort())",
        "pass",
        f"{_COMMON}/test_storage.py::test_a_failed_upload_leaves_nothing",
    ),
    Guard(
        "one delivery for an event",
        "libs/common/migrations/0010_delivering.sql",
        "create unique index deliveries_of_job_once",
        "create index deliveries_of_job_once",
        f"{_WEBHOOKS}::test_an_event_taken_in_twice",
    ),
    Guard(
        "an attempt has one maker",
        "services/notifier/claims.sql",
        "state = 'pending' and due_at <= now()\n",
        "state = 'pending'\n",
        f"{_WEBHOOKS}::test_an_attempt_announced_many_times",
    ),
    Guard(
        "an address has so many places and no more",
        "services/notifier/claims.sql",
        "pg_try_advisory_xact_lock(hashtextextended('lane ' || lane, 0))",
        "true",
        f"{_LANES}::test_two_at_the_same_moment",
    ),
    Guard(
        "a lane in which another is, is left for a moment",
        "services/notifier/claims.sql",
        "pg_try_advisory_xact_lock(hashtextextended('lane ' || lane, 0)) end",
        "pg_advisory_xact_lock(hashtextextended('lane ' || lane, 0)) is not null end",
        f"{_LANES}::test_a_lane_in_which_another_is",
    ),
    Guard(
        "a lane is gone on with",
        "services/notifier/attempts.py",
        "attempt = await self._claims.next(attempt.lane)",
        "return",
        f"{_LANES}::test_no_more_than_its_places",
    ),
    Guard(
        "a message that comes again looks after claims",
        "services/notifier/claims.py",
        "if (wish.again or unsure) and wish not in left:",
        "if False:",
        f"{_LANES}::test_who_dies_in_the_middle_of_many",
    ),
    Guard(
        "a dead address is left alone",
        "services/notifier/claims.sql",
        "coalesce(shut_until > now(), false) or coalesce(status",
        "coalesce(status",
        f"{_LANES}::test_a_dead_address_is_left_alone",
    ),
    Guard(
        "an attempt's record names its claim",
        "services/notifier/deliveries.sql",
        "and attempt = $2 - 1 and due_at = $3",
        "and $2::int is not null and $3::timestamptz is not null",
        f"{_WEBHOOKS}::test_an_attempt_that_lost_its_claim",
    ),
    Guard(
        "an idempotency key has one request",
        "services/ingest/idempotency.sql",
        "where held.expires_at < now()",
        "where true",
        "tests/integration/ingest/test_idempotency.py::test_a_race",
    ),
    Guard(
        "an answer names its request's lease",
        "services/ingest/idempotency.sql",
        "where tenant = $1 and key = $2 and lease_token = $3\nreturning key;",
        "where tenant = $1 and key = $2 and $3::uuid is not null\nreturning key;",
        "tests/integration/ingest/test_idempotency.py::test_a_lease_lost_meanwhile",
    ),
    Guard(
        "requests leave to public addresses only",
        "libs/common/public_address.py",
        "if family not in _FAMILIES or not may_connect(address[0], allowed):",
        "if family not in _FAMILIES:",
        f"{_COMMON}/test_guarded_connections.py::test_a_name_that_leads_inside",
    ),
    Guard(
        "who lost its lease lets go",
        "services/transcriber/heartbeat.py",
        "            if renewed is None:\n                raise LeaseLost\n",
        "            if renewed is None:\n                continue\n",
        "tests/integration/transcriber/test_attempt.py::test_cancelling_ends_an_attempt_that_stores_its_result",
    ),
    Guard(
        "a dead child's neighbours are kept",
        "services/transcriber/child.py",
        "                work.wait_again(alone=suspect)\n",
        '                work.fail(TransientError("engine_died", "The engine died."))\n',
        "tests/integration/transcriber/test_child.py::test_death_fails_only_who_was_on_the_engine",
    ),
    Guard(
        "ends that were lost are told again",
        "services/janitor/duties/retell.py",
        "        if not await upkeep.untold(",
        "        if True or await upkeep.untold(",
        "tests/integration/janitor/test_retell.py::test_what_was_lost_is_told_again",
    ),
    Guard(
        "and are the same events",
        "libs/common/jobs/announcing.py",
        'uuid5(job.id, f"{event} {job.revision}") if event in ENDS else ids.new()',
        "ids.new()",
        "tests/integration/janitor/test_retell.py::test_what_was_lost_is_told_again",
    ),
    Guard(
        "a cancellation comes through",
        "libs/common/patience.py",
        "        async with asyncio.timeout(seconds):\n            await event.wait()\n",
        "        await asyncio.wait_for(event.wait(), seconds)\n",
        "tests/unit/common/test_patience.py::test_a_cancellation_comes_through_whenever_it_comes",
    ),
    Guard(
        "a key opens what its scopes say",
        "services/ingest/auth.py",
        "if scope not in found.scopes:",
        "if False:",
        _ACCESS,
    ),
    Guard(
        "a revoked key opens nothing",
        "services/ingest/auth.py",
        "and revoked_at is null and coalesce(expires_at > now(), true)",
        "",
        _ACCESS,
    ),
    Guard(
        "a write has a limit",
        "libs/common/storage.py",
        "async with asyncio.timeout(self._patience.total_seconds()):",
        "if True:",
        f"{_COMMON}/test_storage.py::test_a_store_that_says_nothing_is_a_transient_error",
    ),
    Guard(
        "what a killed process left goes",
        "services/transcriber/scratch.py",
        "                shutil.rmtree(folder)\n",
        "                pass\n",
        "tests/unit/transcriber/test_scratch.py::test_the_next_takes_away_what_a_killed_one_left",
    ),
    Guard(
        "who has connected is heard",
        "services/ingest/server.py",
        "range(round(_UNHEARD_SECONDS / _POLL_SECONDS))",
        "range(0)",
        "tests/crash/test_ingest.py::test_a_stop_hears_who_has_connected",
    ),
    Guard(
        "nobody is greeted whom nobody will meet",
        "services/ingest/server.py",
        "                _greet_nobody(listening)\n",
        "                pass\n",
        "tests/integration/ingest/test_server.py::test_a_stop_cuts_off_nobody_who_was_greeted",
    ),
    Guard(
        "a decoder can open nothing",
        "services/transcriber/engine/decoder/confinement.py",
        "with _soft_limit(resource.RLIMIT_NOFILE, 0), ",
        "with ",
        "tests/integration/engine/test_decoder.py::test_nothing_can_be_opened_while_a_file_is_looked_at",
    ),
    Guard(
        "a decoder's time is bounded",
        "services/transcriber/engine/decoder/confinement.py",
        ", _soft_limit(resource.RLIMIT_CPU, enough):",
        ":",
        "tests/integration/engine/test_decoder.py::test_the_kernel_ends_whoever_spins",
    ),
    Guard(
        "a decoder's memory is bounded",
        "services/transcriber/engine/decoder/confinement.py",
        "        resource.setrlimit(resource.RLIMIT_AS, (taken + limit, taken + limit))\n",
        "        pass\n",
        "tests/integration/engine/test_hostile.py::test_what_is_larger_than_it_looks",
    ),
    Guard(
        "a broken decoder is not the next file's fault",
        "services/transcriber/engine/decoder/keeper.py",
        "if not broken.used:",
        "if broken:",
        "tests/integration/engine/test_decoder.py::test_what_an_earlier_file_did_is_not_held_against_the_next",
    ),
    Guard(
        "a form ends where it ends",
        "services/ingest/form.py",
        "PushMultipartParser(boundary, max_segment_count=_MAX_FIELDS)",
        "PushMultipartParser(boundary, max_segment_count=_MAX_FIELDS, strict=True)",
        "tests/unit/ingest/test_form.py::test_a_body_may_be_cut_anywhere",
    ),
)
