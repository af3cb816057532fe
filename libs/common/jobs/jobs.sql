-- name: create_job
-- (new) -> queued. The object is already in the bucket; the caller adds job.created in the same transaction.
insert into jobs (id, tenant, status, priority, options, source, retention, max_attempts, trace, queued_at)
values ($1, $2, 'queued', $3, $4, $5, $6, $7, $8, now())
returning *;

-- name: get_job
select * from jobs where id = $1 and tenant = $2;

-- name: list_jobs
-- Newest first; ids are UUIDv7, so the id is the age and the keyset.
select * from jobs
where tenant = $1 and ($2::job_status is null or status = $2) and ($3::uuid is null or id < $3)
order by id desc
limit $4;

-- name: claim_job
-- queued -> processing: the best job that may be claimed now, whichever token brought us here.
with best as (
    select id from jobs
    where status = 'queued' and claim_after <= now()
    order by priority, claim_after, id
    limit 1
    for update skip locked
)
update jobs
set status = 'processing', lease_token = $1, lease_until = now() + $2, worker = $3, attempt = attempt + 1,
    stage = 'fetch', progress = 0, started_at = coalesce(started_at, now())
from best
where jobs.id = best.id
returning jobs.*;

-- name: renew_lease
-- processing -> processing: the heartbeat; 0 rows tell the worker that the job is no longer its own.
update jobs
set lease_until = now() + $3, stage = $4, progress = greatest(progress, $5)
where id = $1 and status = 'processing' and lease_token = $2
returning *;

-- name: finish_job
-- processing -> completed: names the winner among results.
update jobs
set status = 'completed', result = $3, error = null, stage = null, progress = 100, lease_token = null, lease_until = null,
    worker = null, finished_at = now(), expires_at = now() + retention
where id = $1 and status = 'processing' and lease_token = $2
returning *;

-- name: fail_job
-- processing -> failed: the failure is permanent, or it was the last attempt.
update jobs
set status = 'failed', error = $3, stage = null, lease_token = null, lease_until = null, worker = null,
    finished_at = now(), expires_at = now() + retention
where id = $1 and status = 'processing' and lease_token = $2
returning *;

-- name: retry_job
-- processing -> queued: the failure is transient and attempts are left; claimable again after a delay.
update jobs
set status = 'queued', error = $3, stage = null, progress = 0, lease_token = null, lease_until = null, worker = null,
    queued_at = now(), claim_after = now() + $4
where id = $1 and status = 'processing' and lease_token = $2 and attempt < max_attempts
returning *;

-- name: release_job
-- processing -> queued: our own shutdown; the attempt is given back, and so is the place in the queue (`claim_after` stays).
update jobs
set status = 'queued', attempt = attempt - 1, stage = null, progress = 0, lease_token = null, lease_until = null, worker = null,
    queued_at = now()
where id = $1 and status = 'processing' and lease_token = $2
returning *;

-- name: cancel_job
-- uploading | queued | processing -> cancelled: a worker that has it learns of it from its next heartbeat.
update jobs
set status = 'cancelled', stage = null, lease_token = null, lease_until = null, worker = null,
    finished_at = now(), expires_at = now() + retention
where id = $1 and tenant = $2 and status in ('uploading', 'queued', 'processing')
returning *;

-- name: resubmit_job
-- failed | cancelled -> queued: asked for by a person, with all attempts given anew and exactly the options it had.
update jobs
set status = 'queued', attempt = 0, error = null, progress = 0, queued_at = now(), claim_after = now(),
    started_at = null, finished_at = null, expires_at = null
where id = $1 and tenant = $2 and status in ('failed', 'cancelled')
returning *;

-- name: delete_job
-- completed | failed | cancelled | expired -> (gone): the bytes are gone already.
delete from jobs
where id = $1 and tenant = $2 and status in ('completed', 'failed', 'cancelled', 'expired')
returning *;

-- name: rescue_jobs
-- processing -> queued or failed: the worker stopped renewing its lease. The job keeps its place in the queue: with a backlog it would
-- otherwise wait behind all of it.
with lost as (
    select id from jobs
    where status = 'processing' and lease_until < now()
    order by lease_until
    limit $1
    for update skip locked
)
update jobs
set status = (case when attempt < max_attempts then 'queued' else 'failed' end)::job_status,
    error = $2, stage = null, progress = 0, lease_token = null, lease_until = null, worker = null,
    queued_at = case when attempt < max_attempts then now() else queued_at end,
    finished_at = case when attempt < max_attempts then null else now() end,
    expires_at = case when attempt < max_attempts then null else now() + retention end
from lost
where jobs.id = lost.id
returning jobs.*;

-- name: count_tokens
-- In one snapshot: the jobs that may be claimed, those of them that have waited for longer than $1, and the tokens that no relay has
-- published yet. A token that the broker refused is put off although its job may be claimed, so it counts.
select jobs.claimable, jobs.waiting, events.unpublished
from (
    select count(*) as claimable, count(*) filter (where greatest(claim_after, queued_at) < now() - $1::interval) as waiting
    from jobs where status = 'queued' and claim_after <= now()
) jobs, (
    select count(*) as unpublished
    from outbox where type in ('job.created', 'job.requeued') and (available_at <= now() or attempt > 0)
) events;

-- name: tokenless_jobs
-- Queued for longer than $1 with no event of theirs waiting in the outbox: candidates for a new token, in the order of claims.
select * from jobs
where status = 'queued' and claim_after <= now() and greatest(claim_after, queued_at) < now() - $1::interval
  and not exists (select from outbox where outbox.subject = jobs.id::text and outbox.type in ('job.created', 'job.requeued'))
order by priority, claim_after, id
limit $2;

-- name: expired_jobs
-- Finished and past their time, a page after ($2, $3); the bytes go first, then `expire_job`.
select * from jobs
where status in ('completed', 'failed', 'cancelled') and expires_at < now()
  and (expires_at, id) > (coalesce($2, '-infinity'::timestamptz), coalesce($3, '00000000-0000-0000-0000-000000000000'::uuid))
order by expires_at, id
limit $1;

-- name: expire_job
-- completed | failed | cancelled -> expired: the bytes are gone, the row stays as a tombstone.
update jobs
set status = 'expired', result = null
where id = $1 and status in ('completed', 'failed', 'cancelled') and expires_at < now()
returning *;

-- name: count_jobs
-- For /metrics.
select status::text as status, count(*) as jobs from jobs group by status;

-- name: claimable_count
select count(*) from jobs where status = 'queued' and claim_after <= now();

-- name: job_owners
-- Of the given ids, those that are jobs, and what they say about their objects.
select id, status, finished_at, lease_token, result from jobs where id = any($1::uuid[]);
