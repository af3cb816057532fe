-- name: keep_reference
-- In the transaction that creates the job.
insert into job_references (job_id, lines) values ($1, $2);

-- name: job_reference
select lines from job_references where job_id = $1;
