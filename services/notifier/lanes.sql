-- name: lock_lane
select pg_advisory_xact_lock(hashtextextended('lane ' || $1::text, 0));

-- name: send_probes
-- For lanes that are shut and to which nobody has been sent to look yet: what has been due there for longest will, when the time is up.
with sent as (
    update lanes set probe_at = shut_until
    where key = any($1::text[]) and shut_until > now() and probe_at is distinct from shut_until
      and exists (select from deliveries where lane = key and state = 'pending' and due_at <= now())
    returning key, shut_until - now() as wait
)
select next.id, job_id, endpoint_id, attempt, wait
from sent cross join lateral (
    select id, job_id, endpoint_id, attempt from deliveries
    where lane = sent.key and state = 'pending' and due_at <= now()
    order by due_at, id
    limit 1
) next;

-- name: next_due
-- The attempts of a lane that have been due for longest.
select id, job_id, endpoint_id, attempt from deliveries
where lane = $1 and state = 'pending' and due_at <= now()
order by due_at, id
limit $2;

-- name: count_failure
-- Those that were under way when the lane was shut say nothing new.
insert into lanes (key) values ($1)
on conflict (key) do update set failures = lanes.failures + 1, failed_at = now()
where lanes.shut_until is null or lanes.shut_until <= now()
returning failures;

-- name: shut
update lanes set shut_until = now() + $2::interval where key = $1;

-- name: recover_lane
-- It has answered.
delete from lanes where key = $1 returning key;

-- name: forget_lanes
-- Those that nothing has been sent to for long; but not one that somebody is writing to, who may be doing the same.
delete from lanes
where key in (
    select key from lanes
    where failed_at < now() - interval '1 day'
      and not exists (select from deliveries where deliveries.lane = lanes.key and deliveries.state = 'pending')
    for update skip locked
);

-- name: lock_uploaded
-- Before `give_up`, the jobs to which it tells what came of their upload.
select id from jobs
where id in (
    select job_id from deliveries where lane = $1 and state = 'pending' and due_at < now() - $2::interval and kind = 'upload'
)
order by id
for no key update;

-- name: give_up
-- pending -> failed: what has waited for longer than $2 for a lane that gives no answer. If its owner changed or resumed the endpoint meanwhile,
-- from then on.
update deliveries set state = 'failed', finished_at = now(), code = 'no_answer'
where lane = $1 and state = 'pending' and due_at < now() - $2::interval
  and not exists (select from endpoints where endpoints.id = deliveries.endpoint_id and endpoints.updated_at > now() - $2::interval)
returning job_id, kind, finished_at;
