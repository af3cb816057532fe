-- The answer to an idempotency key tells of its job, file name and metadata included, so it goes with the job: as soon as that expires or is
-- deleted. The key stays for its time, and whoever repeats it is told what has become of the job.

alter table idempotency_keys drop constraint idempotency_keys_check;
alter table idempotency_keys add check (
    case when lease_token is null then num_nulls(fingerprint, job_id) = 0 else num_nulls(fingerprint, job_id, answer) = 3 end
);

create index idempotency_keys_answered on idempotency_keys (job_id) where answer is not null;

update idempotency_keys set answer = null
where answer is not null and not exists (select from jobs where jobs.id = job_id and status <> 'expired');
