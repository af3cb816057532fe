-- name: wanted
-- Who is to be told of a job's event: the endpoints of its tenant that want to hear of such ones; if it is an end ($3), the job's own URLs.
select 'webhook' as kind, endpoints.id as endpoint_id, endpoints.payload as form
from jobs join endpoints on endpoints.tenant = jobs.tenant
where jobs.id = $1 and $2::text = any(endpoints.events)
union all
select 'webhook', null, coalesce(options->>'webhook_payload', 'thin') from jobs where id = $1 and $3 and options->>'webhook_url' is not null
union all
select 'upload', null, 'thin' from jobs where id = $1 and $2 = 'job.completed' and options->>'upload_presigned_url' is not null
order by kind, endpoint_id;

-- name: create_endpoint_delivery
-- (new) -> pending, due at once; -> failed where the endpoint is disabled, to be found in its log and sent again when it is enabled. The row is
-- locked against being disabled meanwhile, which fails what is pending. Nothing for a job that was deleted since it was asked who wants to know.
insert into deliveries (id, job_id, event_id, event_type, endpoint_id, endpoint, lane, form, body, state, finished_at, code)
select $1, job.id, $3, $4, endpoints.id, endpoints.url, lane_of(endpoints.id, '', ''), $6, $7,
       case when endpoints.status = 'disabled' then 'failed' else 'pending' end,
       case when endpoints.status = 'disabled' then now() end,
       case when endpoints.status = 'disabled' then 'endpoint_disabled' end
from endpoints, (select id from jobs where id = $2 for key share) job
where endpoints.id = $5
for share of endpoints
on conflict do nothing
returning id, state;

-- name: create_delivery
-- (new) -> pending, due at once: to a URL that the job itself gave, if this event has no delivery of that kind yet.
insert into deliveries (id, job_id, event_id, event_type, kind, endpoint, lane, form, body)
select $1, id, $3, $4, $5, url, lane_of(null, tenant, url), $6, $7
from (
    select id, tenant, options->>(case $5 when 'upload' then 'upload_presigned_url' else 'webhook_url' end) as url
    from jobs where id = $2
    for key share
) job
where url is not null
on conflict do nothing
returning id, state;

-- name: job_of_delivery
-- As it is now: it may have expired since the event.
select * from jobs where id = $1;

-- name: deliver
-- pending -> delivered: the receiver has it.
update deliveries
set state = 'delivered', attempt = $2, in_flight = false, finished_at = now(), keep_until = now() + $4::interval
where id = $1 and state = 'pending' and attempt = $2 - 1 and due_at = $3
returning now();

-- name: retry
-- pending -> pending: the attempt failed, the next is due after a while.
update deliveries
set attempt = $2, in_flight = false, due_at = now() + $4::interval, postponed_since = null
where id = $1 and state = 'pending' and attempt = $2 - 1 and due_at = $3
returning now();

-- name: fail
-- pending -> failed: no further attempt can help, or none is left.
update deliveries
set state = 'failed', attempt = $2, in_flight = false, finished_at = now(), code = $4
where id = $1 and state = 'pending' and attempt = $2 - 1 and due_at = $3
returning now();

-- name: postpone
-- pending -> pending: our own outage; the attempt is not spent, and is made after a while.
update deliveries
set due_at = now() + $4::interval, in_flight = false, postponed_since = coalesce(postponed_since, now())
where id = $1 and state = 'pending' and attempt = $2 - 1 and due_at = $3
returning id;

-- name: release
-- pending -> pending: our own shutdown; the attempt is not spent, and may be made by another at once.
update deliveries
set due_at = now(), in_flight = false
where id = $1 and state = 'pending' and attempt = $2 - 1 and due_at = $3
returning id;

-- name: record_attempt
-- The log of what was tried; written in one transaction with what came of it.
insert into delivery_attempts (delivery_id, attempt, started_at, milliseconds, status, answer, error)
values ($1, $2, $3, $4, $5, $6, $7);

-- name: recover
-- The endpoint has accepted something.
update endpoints set failing_since = null where id = $1 and failing_since is not null;

-- name: lock_endpoint
-- Before the delivery's row, as every transaction that takes both does it.
select tenant, url, status, failing_since, failed_on, now() as now from endpoints where id = $1 for no key update;

-- name: hold_against
update endpoints set failing_since = $2, failed_on = $3 where id = $1;

-- name: disable
-- enabled | paused -> disabled.
update endpoints set status = 'disabled', disabled_at = now(), disabled_reason = $2, updated_at = now() where id = $1 and status <> 'disabled'
returning id, tenant, url;

-- name: fail_pending
-- pending -> failed: what still waits for an endpoint that was disabled.
update deliveries set state = 'failed', finished_at = now(), code = 'endpoint_disabled' where endpoint_id = $1 and state = 'pending';
