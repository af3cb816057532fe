-- name: create_delivery
-- (new) -> pending, due at once: if the job wants a webhook, and this event has no delivery to that endpoint yet.
insert into deliveries (id, job_id, event_id, event_type, endpoint, body)
select $1, jobs.id, $3, $4, jobs.options->>'webhook_url', $5
from jobs
where jobs.id = $2 and jobs.options->>'webhook_url' is not null
for key share of jobs
on conflict (event_id, endpoint) do nothing
returning id;

-- name: claim_attempt
-- pending -> pending: the attempt is ours until the new due_at, which is also the token that the writes below are guarded by.
update deliveries
set due_at = now() + $3::interval
where id = $1 and state = 'pending' and attempt = $2 - 1 and due_at <= now()
returning id, job_id, event_id, event_type, endpoint, body, $2::smallint as attempt, due_at as claim, now() as claimed_at;

-- name: claimed_for
-- How much longer the attempt is someone else's; no row when it has been made.
select job_id, due_at - now() as wait from deliveries where id = $1 and state = 'pending' and attempt = $2 - 1;

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
