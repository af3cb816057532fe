-- name: request_archive
-- Nobody has asked for it, or that is so long ago ($3) that nothing will come of it any more.
insert into archive_requests as request (job_id, variant)
select id, $2 from jobs where id = $1 and status = 'completed' for key share
on conflict (job_id, variant) do update set requested_at = now(), attempt = 0, error = null
where request.requested_at < now() - $3::interval
returning job_id;

-- name: archive_error
select error from archive_requests where job_id = $1 and variant = $2;

-- name: wanted_archive
-- The job, while it can be cut and somebody waits for it.
select jobs.* from jobs join archive_requests on archive_requests.job_id = jobs.id
where jobs.id = $1 and archive_requests.variant = $2 and archive_requests.error is null and jobs.status = 'completed';

-- name: finish_archive
-- Its object is in the bucket, whoever made it, and nothing is left to remember; whether there is still a job that it is of.
with made as (delete from archive_requests where job_id = $1 and variant = $2)
select exists (select from jobs where id = $1 and status = 'completed');

-- name: fail_archive
-- One attempt more; with $4 of them it is over and the reason stays.
update archive_requests set attempt = attempt + 1, error = case when attempt + 1 >= $4 then $3::jsonb end
where job_id = $1 and variant = $2
returning attempt;
