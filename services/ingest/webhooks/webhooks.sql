-- name: lock_endpoints
-- Whether a tenant is below its limit can be told only when nobody else adds to its endpoints.
select pg_advisory_xact_lock(hashtextextended('endpoints ' || $1::text, 0));

-- name: create_endpoint
-- No row when the tenant has $7 endpoints already. The caller holds `lock_endpoints`.
insert into endpoints (id, tenant, url, events, description, payload)
select $1, $2, $3, $4, $5, $6 where (select count(*) from endpoints where tenant = $2) < $7::integer
returning *;

-- name: get_endpoint
select * from endpoints where id = $1 and tenant = $2;

-- name: hold_endpoint
-- The same, and until the transaction's end it is not deleted.
select * from endpoints where id = $1 and tenant = $2 for key share;

-- name: list_endpoints
-- A tenant's, oldest first; there are never more than the limit.
select * from endpoints where tenant = $1 order by id;

-- name: replace_endpoint
-- What was held against the address before says nothing of another, and of what was not asked for until now nobody is told later.
update endpoints
set url = $3, events = $4, description = $5, payload = $6, updated_at = now(), failing_since = case when url = $3 then failing_since end,
    asked_since = asked_since || (
        select coalesce(jsonb_object_agg(type, now()), '{}') from unnest($4::text[]) type where type <> all(events)
    )
where id = $1 and tenant = $2
returning *;

-- name: lock_lane
-- As the notifier does it, before anything else: no message finds the lane closed at the very moment at which it is opened.
select pg_advisory_xact_lock(hashtextextended('lane ' || lane_of($1, '', ''), 0));

-- name: open_lane
-- One request goes first; with any answer to it the rest follows.
insert into lanes (key, failures) values (lane_of($1, '', ''), 0)
on conflict (key) do update set failures = 0, shut_until = null, probe_at = null;

-- name: first_due
-- Of what waits for the endpoint, the one that has been due for longest.
select id, job_id, attempt from deliveries
where lane = lane_of($1, '', '') and state = 'pending' and due_at <= now()
order by due_at, id
limit 1;

-- name: delete_endpoint
delete from endpoints where id = $1 and tenant = $2 returning id;

-- name: pause
-- enabled -> paused. One that is paused, or disabled, stays as it is.
update endpoints set status = 'paused', updated_at = now() where id = $1 and status = 'enabled';

-- name: resume
-- paused | disabled -> enabled, with all that was held against it forgotten.
update endpoints
set status = 'enabled', failing_since = null, disabled_at = null, disabled_reason = null, updated_at = now()
where id = $1 and status <> 'enabled'
returning id;

-- name: drop_secrets
-- Those that were on their way out already, so that no more than two are live.
delete from webhook_secrets where tenant = $1 and endpoint_id is not distinct from $2::uuid and expires_at is not null;

-- name: retire_secret
-- The current one lives on for a while.
update webhook_secrets set expires_at = now() + $3::interval
where tenant = $1 and endpoint_id is not distinct from $2::uuid and expires_at is null
returning expires_at;

-- name: add_secret
insert into webhook_secrets (id, tenant, endpoint_id, secret) values ($1, $2, $3, $4) returning created_at;

-- name: lock_secrets
-- One rotation at a time.
select pg_advisory_xact_lock(hashtextextended('webhook secrets ' || $1::text, 0));

-- name: tenant_secret
-- Whether there is one, but not what it is.
select max(created_at) filter (where expires_at is null) as created_at, max(expires_at) as previous_until
from webhook_secrets
where tenant = $1 and endpoint_id is null and coalesce(expires_at > now(), true);

-- name: delete_tenant_secret
delete from webhook_secrets where tenant = $1 and endpoint_id is null returning id;

-- name: create_test
insert into deliveries (id, event_id, event_type, endpoint_id, endpoint, lane, body)
select $1, $2, $3, id, url, lane_of(id, '', ''), $5 from endpoints where id = $4
for share;

-- name: now
select now();

-- name: replay
-- failed | delivered -> pending, due at once, with all retries ahead: up to $5 of those that came about from $2 on (to before $3), oldest first.
update deliveries
set state = 'pending', due_at = now(), finished_at = null, code = null, attempts_before = attempt, postponed_since = null
from (
    select id from deliveries
    where endpoint_id = $1 and created_at >= $2 and ($3::timestamptz is null or created_at < $3) and state = any($4::text[])
      and event_type <> 'webhook.test'
    order by created_at, id
    limit $5
    for update
) chosen
where deliveries.id = chosen.id
returning deliveries.id, job_id, attempt, created_at;
