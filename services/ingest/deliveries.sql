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
-- A page of an endpoint's log, newest first: of one state ($2) or all, of a range of times, from where the page before ended ($5, $6).
select * from deliveries
where endpoint_id = $1
  and ($2::text is null or state = $2)
  and ($3::timestamptz is null or created_at > $3)
  and ($4::timestamptz is null or created_at < $4)
  and ($5::timestamptz is null or (created_at, id) < ($5, $6::uuid))
order by created_at desc, id desc
limit $7;

-- name: attempts
-- All that were made at these.
select * from delivery_attempts where delivery_id = any($1::uuid[]) order by delivery_id, attempt;

-- name: redeliver
-- delivered | failed -> pending, due at once: the receiver shall get it once more. One that is pending already is left as it is.
update deliveries
set state = 'pending', due_at = now(), finished_at = null, code = null
where id = $1 and state in ('delivered', 'failed')
returning attempt;

-- name: endpoint_status
-- Held until the transaction's end: whoever disables an endpoint fails what is pending, and must not miss what is made pending now.
select status from endpoints where id = $1 for share;
