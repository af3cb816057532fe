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

-- name: list_endpoints
-- A tenant's, oldest first; there are never more than the limit.
select * from endpoints where tenant = $1 order by id;

-- name: replace_endpoint
update endpoints set url = $3, events = $4, description = $5, payload = $6, updated_at = now() where id = $1 and tenant = $2 returning *;

-- name: open_lane
-- What was held against the address before says nothing of how it is now.
delete from lanes where key = $1::uuid::text;

-- name: delete_endpoint
delete from endpoints where id = $1 and tenant = $2 returning id;

-- name: pause
-- enabled -> paused. One that is paused, or disabled, stays as it is.
update endpoints set status = 'paused', updated_at = now() where id = $1 and status = 'enabled' returning *;

-- name: resume
-- paused | disabled -> enabled, with all that was held against it forgotten.
update endpoints
set status = 'enabled', failing_since = null, disabled_at = null, disabled_reason = null, updated_at = now()
where id = $1 and status <> 'enabled'
returning *;

-- name: waiting_deliveries
-- What was not sent while the endpoint was paused; none of it waits for another's end any more.
update deliveries set parked = false where endpoint_id = $1 and state = 'pending' returning id, job_id, attempt, created_at;

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

-- name: forget_tests
-- Nobody asks about these any more; those of jobs go with their jobs.
delete from deliveries where endpoint_id = $1 and job_id is null and created_at < now() - interval '30 days';

-- name: create_test
insert into deliveries (id, event_id, event_type, endpoint_id, endpoint, lane, body)
select $1, $2, $3, id, url, lane_of(id, '', ''), $5 from endpoints where id = $4
for share;

-- name: now
select now();

-- name: replay
-- failed | delivered -> pending, due at once: up to $5 of those that came about from $2 on (to before $3), oldest first.
update deliveries
set state = 'pending', due_at = now(), finished_at = null, code = null
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
