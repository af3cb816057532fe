-- name: record_letters
-- Before they are acked; one that is delivered again is there already.
insert into dead_letters (id, queue, reason, job_id, event_type, headers, body)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::jsonb[], $7::bytea[])
on conflict (id) do nothing;

-- name: suspects
-- Jobs that are named by tokens which nobody lived to ack.
select distinct job_id from dead_letters where not judged and queue = 'transcriber.jobs' and reason = 'delivery_limit' and job_id is not null;

-- name: lock_uploaded
-- Before `fail_undeliverable`, the job that is told of its upload.
select from jobs where id = (select job_id from deliveries where id = $1 and kind = 'upload') for no key update;

-- name: fail_undeliverable
-- pending -> failed: a delivery that breaks whoever attempts it would be announced again and again.
update deliveries
set state = 'failed', finished_at = now(), code = $3
where id = $1 and state = 'pending' and attempt = $2 - 1
returning job_id, kind, finished_at;

-- name: judge_letters
-- But for those that name a job which a worker has at this moment: what becomes of it is not known yet.
update dead_letters set judged = true
where not judged and not (
    queue = 'transcriber.jobs' and reason = 'delivery_limit'
    and exists (select from jobs where jobs.id = dead_letters.job_id and jobs.status = 'processing')
);

-- name: forget_letters
-- Those about jobs that are gone, as one that was deleted before its letter was recorded; a request to clean up names itself.
update dead_letters set job_id = null, headers = '{}', body = ''
where job_id is not null and event_type is distinct from 'cleanup.requested' and not exists (select from jobs where jobs.id = job_id);

-- name: old_letters
delete from dead_letters
where id = any(array(
    select id from dead_letters where recorded_at < now() - $1::interval order by recorded_at limit $2 for update skip locked
))
returning recorded_at;
