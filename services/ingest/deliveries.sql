-- name: job_deliveries
-- A job's deliveries in the order in which they came about, each with all its attempts.
select deliveries.*, tried.attempts
from deliveries
cross join lateral (
    select coalesce(jsonb_agg(jsonb_build_object(
        'attempt', attempt, 'started_at', started_at, 'milliseconds', milliseconds, 'status', status, 'answer', answer, 'error', error
    ) order by attempt), '[]') as attempts
    from delivery_attempts where delivery_id = deliveries.id
) tried
where deliveries.job_id = $1
order by deliveries.created_at, deliveries.id;

-- name: find_delivery
-- A tenant's delivery.
select deliveries.job_id from deliveries join jobs on jobs.id = deliveries.job_id where deliveries.id = $1 and jobs.tenant = $2;

-- name: redeliver
-- delivered | failed -> pending, due at once: the receiver shall get it once more. One that is pending already is left as it is.
update deliveries
set state = 'pending', due_at = now(), finished_at = null
where id = $1 and state in ('delivered', 'failed')
returning attempt;
