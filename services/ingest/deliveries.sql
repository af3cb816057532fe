-- name: job_deliveries
-- A job's, in the order in which they came about.
select * from deliveries where job_id = $1 order by created_at, id;

-- name: get_delivery
-- One of a tenant's.
select deliveries.*
from deliveries
left join jobs on jobs.id = deliveries.job_id
left join endpoints on endpoints.id = deliveries.endpoint_id
where deliveries.id = $1 and coalesce(endpoints.tenant, jobs.tenant) = $2;

-- name: endpoint_deliveries
-- A page of an endpoint's log, newest first; `webhooks.log` adds the conditions that were asked for.
select * from deliveries where endpoint_id = $1 {conditions} order by created_at desc, id desc limit $2;

-- name: that_is_pending
and state = 'pending'

-- name: that_is_delivered
and state = 'delivered'

-- name: that_is_failed
and state = 'failed'

-- name: created_after
and created_at > ${n}::timestamptz

-- name: created_before
and created_at < ${n}::timestamptz

-- name: after_position
and (created_at, id) < (${n}::timestamptz, ${m}::uuid)

-- name: attempts
-- All that were made at these.
select * from delivery_attempts where delivery_id = any($1::uuid[]) order by delivery_id, attempt;

-- name: redeliver
-- delivered | failed -> pending, due at once, with all retries ahead: the receiver shall get it once more. One that is pending already is left as
-- it is.
update deliveries
set state = 'pending', due_at = now(), finished_at = null, code = null, attempts_before = attempt, postponed_since = null
where id = $1 and state in ('delivered', 'failed')
returning attempt;

-- name: endpoint_status
-- Held until the transaction's end: whoever disables an endpoint fails what is pending, and must not miss what is made pending now.
select status from endpoints where id = $1 for share;
