-- name: endpoints_of_event
-- Those of the job's tenant that want to hear of such events.
select endpoints.id from jobs join endpoints on endpoints.tenant = jobs.tenant
where jobs.id = $1 and $2::text = any(endpoints.events)
order by endpoints.id;

-- name: create_endpoint_delivery
-- (new) -> pending, due at once; -> failed where the endpoint is disabled, to be found in its log and sent again when it is enabled. The row is
-- locked against being disabled meanwhile, which fails what is pending.
insert into deliveries (id, job_id, event_id, event_type, endpoint_id, endpoint, body, state, finished_at)
select $1, (select id from jobs where id = $2 for key share), $3, $4, endpoints.id, endpoints.url, $6,
       case when endpoints.status = 'disabled' then 'failed' else 'pending' end,
       case when endpoints.status = 'disabled' then now() end
from endpoints
where endpoints.id = $5
for share of endpoints
on conflict do nothing
returning id, state;

-- name: create_delivery
-- (new) -> pending, due at once: if the job wants a webhook, and this event has no delivery to that address yet.
insert into deliveries (id, job_id, event_id, event_type, endpoint, body)
select $1, jobs.id, $3, $4, jobs.options->>'webhook_url', $5
from jobs
where jobs.id = $2 and jobs.options->>'webhook_url' is not null
for key share of jobs
on conflict do nothing
returning id, state;

-- name: claim_attempt
-- pending -> pending: the attempt is ours until the new due_at, which is also the token that the writes below are guarded by. It goes where the
-- endpoint is now, under the secrets that are live now. What is paused is not claimed: resuming announces it again.
update deliveries
set due_at = now() + $3::interval,
    endpoint = coalesce((select url from endpoints where endpoints.id = deliveries.endpoint_id), endpoint)
where id = $1 and state = 'pending' and attempt = $2 - 1 and due_at <= now()
  and (endpoint_id is null or event_type = 'webhook.test'
       or exists (select from endpoints where endpoints.id = deliveries.endpoint_id and endpoints.status = 'enabled'))
returning id, job_id, endpoint_id, event_id, event_type, endpoint, body, $2::smallint as attempt, due_at as claim, now() as claimed_at, array(
    select secret from webhook_secrets live
    where coalesce(live.expires_at > now(), true)
      and case when deliveries.endpoint_id is not null then live.endpoint_id = deliveries.endpoint_id
               else live.endpoint_id is null and live.tenant = (select tenant from jobs where jobs.id = deliveries.job_id) end
    order by live.created_at desc
) as secrets;

-- name: claimed_for
-- How much longer the attempt is someone else's; no row when it has been made, or waits for its endpoint to be resumed.
select job_id, endpoint_id, due_at - now() as wait
from deliveries
where id = $1 and state = 'pending' and attempt = $2 - 1
  and (endpoint_id is null or event_type = 'webhook.test'
       or exists (select from endpoints where endpoints.id = deliveries.endpoint_id and endpoints.status = 'enabled'));

-- name: deliver
-- pending -> delivered: the receiver has it.
update deliveries
set state = 'delivered', attempt = $2, finished_at = now()
where id = $1 and state = 'pending' and attempt = $2 - 1 and due_at = $3
returning id;

-- name: retry
-- pending -> pending: the attempt failed, the next is due after a while.
update deliveries
set attempt = $2, due_at = now() + $4::interval
where id = $1 and state = 'pending' and attempt = $2 - 1 and due_at = $3
returning id;

-- name: fail
-- pending -> failed: no further attempt can help, or none is left.
update deliveries
set state = 'failed', attempt = $2, finished_at = now()
where id = $1 and state = 'pending' and attempt = $2 - 1 and due_at = $3
returning id;

-- name: release
-- pending -> pending: our own shutdown; the attempt was not made and may be made by another now.
update deliveries
set due_at = now()
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
select tenant, url, status, failing_since, now() as now from endpoints where id = $1 for no key update;

-- name: begin_failing
update endpoints set failing_since = now() where id = $1 and failing_since is null;

-- name: disable
-- enabled | paused -> disabled.
update endpoints set status = 'disabled', disabled_at = now(), disabled_reason = $2, updated_at = now() where id = $1 and status <> 'disabled'
returning id, tenant, url;

-- name: fail_pending
-- pending -> failed: what still waits for an endpoint that was disabled.
update deliveries set state = 'failed', finished_at = now() where endpoint_id = $1 and state = 'pending';
