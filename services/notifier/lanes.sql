-- name: enter_lane
-- Until the end of the transaction nobody else takes a place in the delivery's lane or leaves one. No row for an attempt that has been made.
select lane, job_id, endpoint_id, pg_advisory_xact_lock(hashtextextended('lane ' || lane, 0))
from deliveries
where id = $1 and state = 'pending' and attempt = $2 - 1;

-- name: lock_lane
select pg_advisory_xact_lock(hashtextextended('lane ' || $1::text, 0));

-- name: send_probe
-- For a lane that was shut just now: somebody will look when it is open again.
update lanes set probe_at = shut_until where key = $1;

-- name: queue
-- pending -> pending: there is no place in its lane ($3), or its endpoint is paused. It is parked, and who makes room or resumes announces it;
-- or, in a lane that is shut and to which nobody has been sent to look yet, it is the one that looks, after `wait`.
with probe as (
    update lanes set probe_at = shut_until
    where key = $3 and shut_until > now() and probe_at is distinct from shut_until
      and exists (select from deliveries where id = $1 and state = 'pending' and attempt = $2 - 1 and due_at <= now())
    returning shut_until - now() as wait
), waiting as (
    update deliveries set parked = not exists (select from probe)
    where id = $1 and state = 'pending' and attempt = $2 - 1 and due_at <= now()
    returning id
)
select (select wait from probe) as wait, id from waiting;

-- name: unpark
-- pending -> pending: as many as there is room for, but no more than $3; they are announced.
update deliveries set parked = false
from (
    select id from deliveries
    where lane = $1 and parked and state = 'pending'
    order by due_at, id
    limit least($3::bigint, greatest(0,
        coalesce((select case when shut_until > now() then 0 else 1 end from lanes where key = $1), $2::bigint)
        - (select count(*) from deliveries busy where busy.lane = $1 and busy.in_flight and busy.state = 'pending' and busy.due_at > now())))
    for update skip locked
) chosen
where deliveries.id = chosen.id
returning deliveries.id, job_id, endpoint_id, attempt;

-- name: unpark_probe
-- pending -> pending: one that will show whether a lane that was shut answers again.
update deliveries set parked = false
from (select id from deliveries where lane = $1 and parked and state = 'pending' order by due_at, id limit 1 for update skip locked) chosen
where deliveries.id = chosen.id
returning deliveries.id, job_id, endpoint_id, attempt;

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
      and not exists (select from deliveries where deliveries.lane = lanes.key and deliveries.parked and deliveries.state = 'pending')
    for update skip locked
);

-- name: lock_uploaded
-- Before `give_up`, the jobs to which it tells what came of their upload.
select id from jobs
where id in (
    select job_id from deliveries where lane = $1 and parked and state = 'pending' and due_at < now() - $2::interval and kind = 'upload'
)
order by id
for no key update;

-- name: give_up
-- pending -> failed: what has waited for longer than $2 for a lane that gives no answer. If its owner changed or resumed the endpoint meanwhile,
-- from then on.
update deliveries set state = 'failed', parked = false, finished_at = now(), code = 'no_answer'
where lane = $1 and parked and state = 'pending' and due_at < now() - $2::interval
  and not exists (select from endpoints where endpoints.id = deliveries.endpoint_id and endpoints.updated_at > now() - $2::interval)
returning job_id, kind, finished_at;
